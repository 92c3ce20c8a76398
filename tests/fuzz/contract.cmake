mr_fuzz(contract SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_contract.c
    LINK mr_contract mr_wire PkgConfig::JANSSON)
target_compile_definitions(fuzz_contract PRIVATE KINDS="${CMAKE_BINARY_DIR}/tests/kinds")
add_dependencies(fuzz_contract test_kinds)
