mr_test(component renewal SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_renewal.c
    ${CMAKE_CURRENT_LIST_DIR}/gate.c LINK mr_gateway mr_bus mr_metrics mr_wire PkgConfig::SSL
    PkgConfig::CRYPTO)
