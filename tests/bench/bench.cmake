# What tests/bench/run needs; built, not tests. `ninja bench` makes all of it.
add_library(bench_events STATIC ${CMAKE_CURRENT_LIST_DIR}/events.c)
target_link_libraries(bench_events PUBLIC mr_flags mr_base mr_clock)
function(bench_program name)
    add_executable(bench_${name} ${CMAKE_SOURCE_DIR}/tests/bench/bench_${name}.c)
    target_link_libraries(bench_${name} PRIVATE bench_events ${ARGN})
    set_target_properties(bench_${name} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
endfunction()
bench_program(post)
bench_program(http mr_http)
bench_program(kafka mr_rdkafka)
bench_program(visible mr_rpc mr_columns mr_wire)
add_custom_target(bench DEPENDS bench_post bench_http bench_kafka bench_visible bench_archiver
    kinds millrace millrace-gateway millrace-validator millrace-cleaner millrace-archiver
    millrace-query)
