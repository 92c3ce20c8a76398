mr_test(unit counts SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_counts.c LINK mr_stage)
