mr_test(component validator SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_validator.c
    ${CMAKE_CURRENT_LIST_DIR}/stage_fixture.c LINK mr_validate mr_stage mr_contract mr_bus mr_wire
    mr_clock PkgConfig::CRYPTO)
mr_test(component stage SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_stage.c
    ${CMAKE_CURRENT_LIST_DIR}/stage_fixture.c LINK mr_validate mr_stage mr_contract mr_bus mr_wire
    mr_clock)
mr_test(component takeover SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_takeover.c
    ${CMAKE_CURRENT_LIST_DIR}/stage_fixture.c LINK mr_validate mr_stage mr_contract mr_bus mr_wire
    mr_clock)
mr_test(component stage_told SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_stage_told.c
    ${CMAKE_CURRENT_LIST_DIR}/stage_fixture.c LINK mr_validate mr_stage mr_contract mr_bus mr_wire
    mr_clock)
foreach(test validator stage takeover stage_told)
    add_dependencies(test_component_${test} kinds)
endforeach()
