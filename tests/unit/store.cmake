mr_test(unit store SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_store.c
    ${CMAKE_CURRENT_LIST_DIR}/../support/store_promises.c LINK mr_store Threads::Threads)
# The disk's own failures, on demand.
target_link_options(test_unit_store PRIVATE -Wl,--wrap=fsetxattr,--wrap=write,--wrap=fsync
    -Wl,--wrap=linkat,--wrap=openat)
mr_test(unit s3_parts SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_s3_parts.c
    LINK mr_store PkgConfig::CURL)
