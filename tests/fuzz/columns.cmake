mr_fuzz(columns SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_columns.c LINK mr_columns)
