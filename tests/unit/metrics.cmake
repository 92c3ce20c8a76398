mr_test(unit metrics SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_metrics.c LINK mr_metrics)
