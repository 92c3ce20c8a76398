mr_test(component kinesis SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_kinesis.c
    ${CMAKE_CURRENT_LIST_DIR}/test_kinesis_streams.c
    ${CMAKE_CURRENT_LIST_DIR}/test_kinesis_refusals.c
    ${CMAKE_CURRENT_LIST_DIR}/kinesis_client.c ${CMAKE_CURRENT_LIST_DIR}/guard_fixture.c ${CMAKE_CURRENT_LIST_DIR}/gate.c
    LINK mr_gateway mr_bus mr_metrics mr_wire mr_clock PkgConfig::CBOR PkgConfig::JANSSON)
