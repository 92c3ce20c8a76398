mr_fuzz(delta_log SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_delta_log.c LINK mr_table PkgConfig::JANSSON)
