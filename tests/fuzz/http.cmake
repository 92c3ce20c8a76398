mr_fuzz(http SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_http.c LINK mr_http)
