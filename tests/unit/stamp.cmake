mr_test(unit stamp SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_stamp.c LINK mr_gateway)
