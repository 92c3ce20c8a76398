mr_test(unit service SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_service.c
    ${CMAKE_CURRENT_LIST_DIR}/service_process.c
    LINK mr_service mr_clock mr_wire PkgConfig::JANSSON)
mr_test(unit worker SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_worker.c LINK mr_service)
