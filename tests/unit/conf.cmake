mr_test(unit conf SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_conf.c LINK mr_conf
    PkgConfig::JANSSON)
