mr_fuzz(media SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_media.c LINK mr_gateway mr_base)
