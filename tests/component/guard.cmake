mr_test(component guard
    SOURCES
        ${CMAKE_CURRENT_LIST_DIR}/gate.c
        ${CMAKE_CURRENT_LIST_DIR}/guard_fixture.c
        ${CMAKE_CURRENT_LIST_DIR}/test_certificates.c
        ${CMAKE_CURRENT_LIST_DIR}/test_guard.c
        ${CMAKE_CURRENT_LIST_DIR}/test_policy.c
        ${CMAKE_CURRENT_LIST_DIR}/test_rates.c
        ${CMAKE_CURRENT_LIST_DIR}/test_signed.c
        ${CMAKE_CURRENT_LIST_DIR}/test_tokens.c
    LINK mr_gateway mr_bus mr_metrics mr_wire mr_clock mr_sigv4 PkgConfig::CRYPTO PkgConfig::SSL)
