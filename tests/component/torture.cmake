set(strike ${CMAKE_SOURCE_DIR}/tests/support/strike.c ${CMAKE_SOURCE_DIR}/tests/support/faulty_bus.c)
mr_test(component torture_stage SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_torture_stage.c ${strike}
    LINK mr_validate mr_cleaner mr_stage mr_clean mr_contract mr_bus mr_wire mr_clock TIMEOUT 120)
add_dependencies(test_component_torture_stage kinds)
mr_test(component torture_archiver SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_torture_archiver.c
    ${CMAKE_CURRENT_LIST_DIR}/archiver_fixture.c ${strike}
    ${CMAKE_SOURCE_DIR}/tests/support/faulty_store.c
    LINK mr_archive mr_wire mr_clock PkgConfig::JANSSON TIMEOUT 300)
target_link_options(test_component_torture_archiver PRIVATE -Wl,--wrap=mr_store_put_new
    -Wl,--wrap=mr_store_file -Wl,--wrap=mr_sql_open -Wl,--wrap=mr_sql_close -Wl,--wrap=fsync
    -Wl,--wrap=nanosleep)
add_dependencies(test_component_torture_archiver kinds)
