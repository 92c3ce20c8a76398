mr_test(unit cli SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_cli.c ${CMAKE_SOURCE_DIR}/cli/sequence.c
    ${CMAKE_SOURCE_DIR}/cli/sample.c ${CMAKE_SOURCE_DIR}/cli/print.c
    LINK mr_contract mr_columns mr_clock mr_conf PkgConfig::JANSSON)
target_include_directories(test_unit_cli PRIVATE ${CMAKE_SOURCE_DIR}/cli)
