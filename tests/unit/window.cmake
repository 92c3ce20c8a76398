mr_test(unit window SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_window.c LINK mr_validate)
