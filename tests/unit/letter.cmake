mr_test(unit letter SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_letter.c
    LINK mr_letter mr_columns mr_wire)
