mr_test(component cleaner SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_cleaner.c
    LINK mr_cleaner mr_stage mr_clean mr_contract mr_bus mr_wire mr_clock)
add_dependencies(test_component_cleaner kinds)
