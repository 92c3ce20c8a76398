mr_test(component consumers SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_consumers.c
    ${CMAKE_CURRENT_LIST_DIR}/test_consumers_refused.c ${CMAKE_CURRENT_LIST_DIR}/consumer_fixture.c
    ${CMAKE_CURRENT_LIST_DIR}/guard_fixture.c ${CMAKE_CURRENT_LIST_DIR}/gate.c
    LINK mr_gateway mr_bus mr_metrics mr_wire mr_clock)
