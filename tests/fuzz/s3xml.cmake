mr_fuzz(s3xml SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_s3xml.c LINK mr_store)
