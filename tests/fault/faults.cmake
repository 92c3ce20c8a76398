# A wall clock that jumps, for processes that tests start.
add_library(fault_clock MODULE ${CMAKE_CURRENT_LIST_DIR}/clock.c)
target_link_libraries(fault_clock PRIVATE mr_flags ${CMAKE_DL_LIBS})
set_target_properties(fault_clock PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)

# One sort of fault each on a whole system, in the order and number that the test says.
foreach(name clock identity store)
    add_test(NAME fault.${name} WORKING_DIRECTORY ${CMAKE_BINARY_DIR}
        COMMAND ${MILLRACE_DEPS}/venv/bin/python -B -m pytest -p no:cacheprovider -v --tb=short
                ${CMAKE_SOURCE_DIR}/tests/fault/test_${name}.py)
    set_tests_properties(fault.${name} PROPERTIES LABELS fault TIMEOUT 240 RESOURCE_LOCK e2e COST 10
        ENVIRONMENT "MILLRACE_SOURCE=${CMAKE_SOURCE_DIR};MILLRACE_BUILD=${CMAKE_BINARY_DIR}")
endforeach()
