mr_test(unit columns SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_columns.c LINK mr_columns)
