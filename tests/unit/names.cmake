mr_test(unit names SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_names.c LINK mr_names)
