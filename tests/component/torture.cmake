set(strike ${CMAKE_SOURCE_DIR}/tests/support/strike.c ${CMAKE_SOURCE_DIR}/tests/support/faulty_bus.c)
mr_test(component torture_stage SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_torture_stage.c ${strike}
    LINK mr_validate mr_cleaner mr_stage mr_clean mr_contract mr_bus mr_wire mr_clock TIMEOUT 120)
add_dependencies(test_component_torture_stage kinds)
