set(component ${CMAKE_SOURCE_DIR}/tests/component)
mr_test(driver consumers_kafka SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_consumers_kafka.c
    ${component}/consumer_fixture.c ${component}/gate.c ${CMAKE_SOURCE_DIR}/tests/support/broker.c
    LINK mr_gateway mr_bus mr_metrics mr_wire mr_clock TIMEOUT 300)
target_include_directories(test_driver_consumers_kafka PRIVATE ${component})
