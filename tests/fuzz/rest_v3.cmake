mr_fuzz(rest_v3 SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_rest_v3.c LINK mr_gateway mr_bus mr_metrics
    PkgConfig::JANSSON)
