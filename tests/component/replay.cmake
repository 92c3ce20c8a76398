mr_test(component replay SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_replay.c
    ${CMAKE_CURRENT_LIST_DIR}/stage_fixture.c LINK mr_replay mr_validate mr_stage mr_contract mr_bus
    mr_wire mr_clock)
# Reading passes through the test, which ends a transaction in between.
target_link_options(test_component_replay PRIVATE -Wl,--wrap=mr_reader_poll)
add_dependencies(test_component_replay kinds)
