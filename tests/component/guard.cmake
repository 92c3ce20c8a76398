mr_test(component guard SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_guard.c
    ${CMAKE_CURRENT_LIST_DIR}/test_policy.c ${CMAKE_CURRENT_LIST_DIR}/test_tokens.c
    ${CMAKE_CURRENT_LIST_DIR}/guard_fixture.c ${CMAKE_CURRENT_LIST_DIR}/gate.c
    LINK mr_gateway mr_bus mr_metrics mr_wire mr_clock PkgConfig::CRYPTO)
