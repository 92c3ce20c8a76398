set(support ${CMAKE_SOURCE_DIR}/tests/support)
mr_test(driver kafka SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_kafka.c ${support}/bus_reading.c
    ${support}/bus_writing.c ${support}/bus_tools.c ${support}/broker.c
    LINK mr_bus mr_rdkafka TIMEOUT 300)
