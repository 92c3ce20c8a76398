# A wall clock that jumps, for processes that tests start.
add_library(fault_clock MODULE ${CMAKE_CURRENT_LIST_DIR}/clock.c)
target_link_libraries(fault_clock PRIVATE mr_flags ${CMAKE_DL_LIBS})
set_target_properties(fault_clock PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
