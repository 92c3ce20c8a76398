mr_fuzz(codings SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_codings.c LINK mr_http PkgConfig::ZLIB
    PkgConfig::ZSTD)
