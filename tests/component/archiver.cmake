mr_test(component archiver SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_archiver.c
    ${CMAKE_CURRENT_LIST_DIR}/test_archiver_tables.c ${CMAKE_CURRENT_LIST_DIR}/archiver_fixture.c
    LINK mr_archive mr_wire mr_clock PkgConfig::JANSSON)
target_link_options(test_component_archiver PRIVATE -Wl,--wrap=mr_store_put_new)
add_dependencies(test_component_archiver kinds)
