mr_test(unit cli SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_cli.c ${CMAKE_SOURCE_DIR}/cli/sequence.c
    ${CMAKE_SOURCE_DIR}/cli/sample.c ${CMAKE_SOURCE_DIR}/cli/print.c
    LINK mr_contract mr_columns mr_clock mr_conf PkgConfig::JANSSON)
target_include_directories(test_unit_cli PRIVATE ${CMAKE_SOURCE_DIR}/cli)
mr_test(unit facts SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_facts.c
    ${CMAKE_SOURCE_DIR}/cli/verify/facts.c LINK mr_sql mr_columns)
target_include_directories(test_unit_facts PRIVATE ${CMAKE_SOURCE_DIR}/cli
    ${CMAKE_SOURCE_DIR}/cli/verify)
