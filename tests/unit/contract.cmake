mr_test(unit contract SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_contract.c LINK mr_contract)
mr_test(unit contract_check SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_contract_check.c
    LINK mr_contract mr_wire)
add_dependencies(test_unit_contract kinds test_kinds)
add_dependencies(test_unit_contract_check test_kinds)
