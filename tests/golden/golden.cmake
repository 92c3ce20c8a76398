# Golden cases: proto/kinds/<kind>/cases/*.case. Rewrite them all with: ninja golden-update
add_executable(golden ${CMAKE_CURRENT_LIST_DIR}/golden.c)
target_link_libraries(golden PRIVATE mr_flags mr_clean mr_contract mr_wire)
set_target_properties(golden PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests
    BUILD_RPATH ${MILLRACE_DEPS}/duckdb/lib)
add_dependencies(golden kinds)
add_custom_target(golden-update DEPENDS golden)
foreach(kind pin geo user)
    set(run ${CMAKE_BINARY_DIR}/kinds ${CMAKE_SOURCE_DIR}/proto/kinds ${kind})
    add_test(NAME golden.${kind} COMMAND golden ${run})
    set_tests_properties(golden.${kind} PROPERTIES LABELS golden TIMEOUT 60)
    add_custom_command(TARGET golden-update POST_BUILD COMMAND golden --update ${run} VERBATIM)
endforeach()

mr_test(golden emissions SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_emissions.c
    LINK mr_clean mr_contract PkgConfig::JANSSON)
add_dependencies(test_golden_emissions kinds)
