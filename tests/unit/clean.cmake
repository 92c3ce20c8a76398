mr_test(unit clean SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_clean.c
    LINK mr_clean mr_contract PkgConfig::JANSSON)
add_dependencies(test_unit_clean kinds)
