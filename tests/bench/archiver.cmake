# Built, not tests: see bench_archiver.c and bench_first.c.
add_executable(bench_archiver ${CMAKE_CURRENT_LIST_DIR}/bench_archiver.c)
target_link_libraries(bench_archiver PRIVATE mr_flags mr_archive mr_wire mr_clock PkgConfig::JANSSON)
set_target_properties(bench_archiver PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench
    BUILD_RPATH ${MILLRACE_DEPS}/duckdb/lib)
add_dependencies(bench_archiver kinds)
add_executable(bench_first ${CMAKE_CURRENT_LIST_DIR}/bench_first.c)
target_link_libraries(bench_first PRIVATE mr_flags mr_archive mr_wire mr_clock)
set_target_properties(bench_first PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench
    BUILD_RPATH ${MILLRACE_DEPS}/duckdb/lib)
add_dependencies(bench_first kinds)
