mr_test(unit base SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_base.c LINK mr_base PkgConfig::PROTOBUF_C)
