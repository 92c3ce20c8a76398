mr_fuzz(rpc SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_rpc.c LINK mr_rpc mr_clock mr_wire ${NNG_LIBRARY})
