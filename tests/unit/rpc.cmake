mr_test(unit rpc SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_rpc.c LINK mr_rpc mr_clock ${NNG_LIBRARY})
