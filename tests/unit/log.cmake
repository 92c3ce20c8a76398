mr_test(unit log SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_log.c LINK mr_log mr_clock)
