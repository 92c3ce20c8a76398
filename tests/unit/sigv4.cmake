mr_test(unit sigv4 SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_sigv4.c LINK mr_sigv4)
