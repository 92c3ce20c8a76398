set(here ${CMAKE_CURRENT_LIST_DIR})
mr_test(component query SOURCES ${here}/test_query.c ${here}/test_query_tail.c
    ${here}/query_fixture.c ${here}/archiver_fixture.c
    LINK mr_query mr_archive mr_wire mr_clock PkgConfig::JANSSON TIMEOUT 180)
# Replies go to the test, creates and fetches in the store pass through it.
target_link_options(test_component_query PRIVATE -Wl,--wrap=mr_rpc_reply
    -Wl,--wrap=mr_table_fetch -Wl,--wrap=mr_store_put_new)
add_dependencies(test_component_query kinds)
