mr_fuzz(conf SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_conf.c LINK mr_conf)
