mr_test(component rest_v3 SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_rest_v3.c
    ${CMAKE_CURRENT_LIST_DIR}/gate.c LINK mr_gateway mr_bus mr_metrics mr_wire PkgConfig::JANSSON)
mr_test(component rest_v3_records SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_rest_v3_records.c
    ${CMAKE_CURRENT_LIST_DIR}/gate.c LINK mr_gateway mr_bus mr_metrics mr_wire PkgConfig::JANSSON)
mr_test(component rest_v3_stream SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_rest_v3_stream.c
    ${CMAKE_CURRENT_LIST_DIR}/gate.c LINK mr_gateway mr_bus mr_metrics mr_wire mr_clock
    PkgConfig::JANSSON)
mr_test(component rest_v3_rights SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_rest_v3_rights.c
    ${CMAKE_CURRENT_LIST_DIR}/gate.c ${CMAKE_CURRENT_LIST_DIR}/guard_fixture.c
    LINK mr_gateway mr_bus mr_metrics mr_wire)
