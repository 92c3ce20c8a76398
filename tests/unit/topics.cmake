mr_test(unit topics SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_topics.c LINK mr_topics)
