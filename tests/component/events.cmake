mr_test(component events SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_events.c
    ${CMAKE_CURRENT_LIST_DIR}/gate.c LINK mr_gateway mr_bus mr_metrics mr_wire)
