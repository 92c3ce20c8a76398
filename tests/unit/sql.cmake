mr_test(unit sql SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_sql.c LINK mr_sql)
mr_test(unit sql_checks SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_sql_checks.c LINK mr_sql)
