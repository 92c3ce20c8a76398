mr_test(unit kinesis_sequence SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_kinesis_sequence.c LINK mr_gateway)
