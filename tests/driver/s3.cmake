set(support ${CMAKE_CURRENT_LIST_DIR}/../support)
mr_test(driver s3 SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_s3.c ${support}/store_promises.c
    ${support}/server.c LINK mr_store Threads::Threads TIMEOUT 180)
mr_test(driver s3_faults SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_s3_faults.c
    ${support}/store_promises.c ${support}/server.c LINK mr_store Threads::Threads)
