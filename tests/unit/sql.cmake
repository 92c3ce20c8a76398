mr_test(unit sql SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_sql.c LINK mr_sql)
