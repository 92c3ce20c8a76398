mr_test(component visit SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_visit.c
    ${CMAKE_CURRENT_LIST_DIR}/gate.c
    LINK mr_gateway mr_bus mr_metrics mr_wire mr_log mr_clock)
