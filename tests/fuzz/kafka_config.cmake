mr_fuzz(kafka_config SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_kafka_config.c LINK mr_bus)
