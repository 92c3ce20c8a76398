mr_test(driver growth_kafka SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_growth_kafka.c
    ${CMAKE_SOURCE_DIR}/tests/component/gate.c ${CMAKE_SOURCE_DIR}/tests/support/broker.c
    LINK mr_gateway mr_stage mr_bus mr_metrics mr_wire mr_clock PkgConfig::JANSSON TIMEOUT 120)
target_include_directories(test_driver_growth_kafka PRIVATE ${CMAKE_SOURCE_DIR}/tests/component)
add_dependencies(test_driver_growth_kafka kinds millrace-validator)
