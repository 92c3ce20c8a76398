mr_fuzz(authorization SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_authorization.c
    LINK mr_gateway mr_bus mr_metrics mr_clock mr_log)
