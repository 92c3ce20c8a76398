set(support ${CMAKE_SOURCE_DIR}/tests/support)
mr_test(driver kafka SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_kafka.c
    ${CMAKE_CURRENT_LIST_DIR}/kafka_away.c ${CMAKE_CURRENT_LIST_DIR}/kafka_large.c
    ${support}/bus_reading.c ${support}/bus_writing.c ${support}/bus_topics.c ${support}/bus_tools.c
    ${support}/broker.c LINK mr_bus TIMEOUT 300)

# The same program on the second version.
add_test(NAME driver4.kafka COMMAND test_driver_kafka)
set_tests_properties(driver4.kafka PROPERTIES LABELS driver4 TIMEOUT 300
    ENVIRONMENT "MILLRACE_SOURCE=${CMAKE_SOURCE_DIR};MILLRACE_BUILD=${CMAKE_BINARY_DIR};MILLRACE_KAFKA=4.3.1")
