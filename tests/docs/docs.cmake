# docs/reference/ is what the programs print: `ninja reference` writes it, the test compares.
set(here ${CMAKE_CURRENT_LIST_DIR})
add_executable(print_codes ${here}/print_codes.c)
target_link_libraries(print_codes PRIVATE mr_flags mr_base mr_rpc mr_metrics mr_service mr_wire)
set_target_properties(print_codes PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME docs.reference COMMAND ${here}/reference check ${CMAKE_BINARY_DIR})
set_tests_properties(docs.reference PROPERTIES LABELS docs TIMEOUT 60)
add_custom_target(reference COMMAND ${here}/reference write ${CMAKE_BINARY_DIR}
    DEPENDS print_codes millrace millrace-gateway millrace-validator millrace-cleaner
            millrace-archiver millrace-query)
