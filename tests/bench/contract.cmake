# Built, not a test: bench_contract [FILE of emissions].
add_executable(bench_contract ${CMAKE_CURRENT_LIST_DIR}/bench_contract.c)
target_link_libraries(bench_contract PRIVATE mr_flags mr_contract PkgConfig::JANSSON)
set_target_properties(bench_contract PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
add_dependencies(bench_contract kinds)
