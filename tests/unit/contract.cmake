mr_test(unit contract SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_contract.c
    LINK mr_contract mr_wire)
mr_test(unit contract_check SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_contract_check.c
    LINK mr_contract mr_wire)
add_dependencies(test_unit_contract kinds test_kinds)
add_dependencies(test_unit_contract_check test_kinds)

# The same checks on the way that processors without SSE2 take.
file(GLOB contract_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/lib/contract/*.c)
mr_test(unit contract_plain
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_contract_check.c ${contract_sources}
    LINK mr_columns mr_names mr_wire)
target_compile_options(test_unit_contract_plain PRIVATE -U__SSE2__)
add_dependencies(test_unit_contract_plain test_kinds)
