set(bus_promises ${CMAKE_SOURCE_DIR}/tests/support/bus_reading.c
    ${CMAKE_SOURCE_DIR}/tests/support/bus_topics.c
    ${CMAKE_SOURCE_DIR}/tests/support/bus_writing.c ${CMAKE_SOURCE_DIR}/tests/support/bus_tools.c)
mr_test(unit bus SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_bus.c ${bus_promises} LINK mr_bus)
mr_test(unit kafka_config SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_kafka_config.c LINK mr_bus)
mr_test(unit kafka_waits SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_kafka_waits.c
    ${CMAKE_SOURCE_DIR}/tests/fault/clock.c LINK mr_bus mr_clock Threads::Threads ${CMAKE_DL_LIBS})
