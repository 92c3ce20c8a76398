mr_test(driver stage_kafka SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_stage_kafka.c
    ${CMAKE_SOURCE_DIR}/tests/support/broker.c LINK mr_stage mr_bus mr_wire mr_clock TIMEOUT 300)
add_dependencies(test_driver_stage_kafka kinds millrace-validator)
