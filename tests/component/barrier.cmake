mr_test(component barrier SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_barrier.c
    ${CMAKE_CURRENT_LIST_DIR}/gate.c LINK mr_gateway mr_bus mr_metrics mr_rpc mr_wire)
