mr_test(unit scan SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_scan.c LINK mr_gateway)
