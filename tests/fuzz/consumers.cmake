mr_fuzz(consumers SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_consumers.c LINK mr_gateway mr_bus
    mr_metrics PkgConfig::JANSSON)
