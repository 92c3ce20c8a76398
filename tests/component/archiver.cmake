set(here ${CMAKE_CURRENT_LIST_DIR})
mr_test(component archiver SOURCES ${here}/test_archiver.c ${here}/test_archiver_tables.c
    ${here}/test_archiver_older.c ${here}/test_archiver_told.c
    ${here}/archiver_fixture.c
    LINK mr_archive mr_wire mr_clock PkgConfig::JANSSON TIMEOUT 120)
mr_test(component delta_readers SOURCES ${here}/test_delta_readers.c ${here}/archiver_fixture.c
    LINK mr_archive mr_wire mr_clock PkgConfig::JANSSON TIMEOUT 120)
foreach(test archiver delta_readers)
    # Creates in the store pass through the test, which can fail them or come in between.
    target_link_options(test_component_${test} PRIVATE -Wl,--wrap=mr_store_put_new)
    add_dependencies(test_component_${test} kinds)
endforeach()
