mr_test(component rest_v2 SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_rest_v2.c
    ${CMAKE_CURRENT_LIST_DIR}/gate.c LINK mr_gateway mr_bus mr_metrics mr_wire)
