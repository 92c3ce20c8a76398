mr_test(unit clock SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_clock.c LINK mr_clock)
