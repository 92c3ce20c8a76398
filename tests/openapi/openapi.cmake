# What the door says of itself is true: the OpenAPI document and docs/reference/http.md are held
# against a gateway on a bus in memory.
add_executable(door_on_memory ${CMAKE_CURRENT_LIST_DIR}/door.c
    ${CMAKE_CURRENT_LIST_DIR}/../component/gate.c)
target_link_libraries(door_on_memory PRIVATE mr_flags mr_gateway mr_bus mr_metrics mr_wire
    ${CMOCKA_LIBRARY})
target_include_directories(door_on_memory PRIVATE ${CMAKE_SOURCE_DIR}/tests/support
    ${CMAKE_SOURCE_DIR}/tests/component)
set_target_properties(door_on_memory PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests BUILD_RPATH ${MILLRACE_DEPS}/duckdb/lib)
function(mr_openapi_test name timeout)
    add_test(NAME conformance.${name} WORKING_DIRECTORY ${CMAKE_BINARY_DIR}
        COMMAND ${MILLRACE_DEPS}/venv/bin/python -B -m pytest -p no:cacheprovider -v --tb=short
                ${CMAKE_SOURCE_DIR}/tests/openapi/test_${name}.py)
    set_tests_properties(conformance.${name} PROPERTIES LABELS conformance TIMEOUT ${timeout}
        ENVIRONMENT "MILLRACE_SOURCE=${CMAKE_SOURCE_DIR};MILLRACE_BUILD=${CMAKE_BINARY_DIR}")
endfunction()
mr_openapi_test(openapi 300)
mr_openapi_test(http 60)
