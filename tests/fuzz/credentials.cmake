mr_fuzz(credentials SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_credentials.c LINK mr_store)
