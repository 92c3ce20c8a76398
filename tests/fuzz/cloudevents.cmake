mr_fuzz(cloudevents SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_cloudevents.c LINK mr_gateway mr_bus
    mr_metrics PkgConfig::JANSSON)
