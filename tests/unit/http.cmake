mr_test(unit http SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_http.c
    ${CMAKE_CURRENT_LIST_DIR}/test_http_codings.c
    ${CMAKE_CURRENT_LIST_DIR}/test_http_limits.c
    ${CMAKE_CURRENT_LIST_DIR}/test_http_probes.c
    ${CMAKE_CURRENT_LIST_DIR}/test_http_streams.c
    ${CMAKE_CURRENT_LIST_DIR}/test_http_tls.c
    LINK mr_http PkgConfig::ZLIB PkgConfig::ZSTD PkgConfig::SSL PkgConfig::CRYPTO)
