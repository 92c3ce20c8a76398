mr_fuzz(policy SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_policy.c LINK mr_gateway PkgConfig::JANSSON)
