mr_fuzz(kinesis SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_kinesis.c LINK mr_gateway mr_bus mr_metrics
    PkgConfig::JANSSON)
mr_fuzz(kinesis_cbor SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_kinesis_cbor.c LINK mr_gateway mr_bus
    mr_metrics PkgConfig::CBOR)
