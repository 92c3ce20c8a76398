mr_test(unit table SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_table.c ${CMAKE_CURRENT_LIST_DIR}/table_fixture.c
    LINK mr_table mr_clock PkgConfig::JANSSON)
# Calls to the store pass through the test, which can lose answers.
target_link_options(test_unit_table PRIVATE -Wl,--wrap=mr_store_put_new)
