mr_test(driver rest_v3_kafka SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_rest_v3_kafka.c
    ${CMAKE_SOURCE_DIR}/tests/component/gate.c ${CMAKE_SOURCE_DIR}/tests/support/broker.c
    LINK mr_gateway mr_bus mr_metrics mr_wire PkgConfig::JANSSON TIMEOUT 120)
target_include_directories(test_driver_rest_v3_kafka PRIVATE ${CMAKE_SOURCE_DIR}/tests/component)
