# Target test_kinds: build/tests/kinds, as --kinds takes it, from tests/support/kinds.
file(GLOB_RECURSE test_kind_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/support/kinds/*)
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/tests/kinds.stamp
    COMMAND ${CMAKE_SOURCE_DIR}/tools/kinds ${CMAKE_SOURCE_DIR}/tests/support/kinds
            ${CMAKE_BINARY_DIR}/tests/kinds
    COMMAND ${CMAKE_COMMAND} -E touch ${CMAKE_BINARY_DIR}/tests/kinds.stamp
    DEPENDS ${test_kind_files} ${CMAKE_SOURCE_DIR}/proto/millrace/v1/options.proto
            ${CMAKE_SOURCE_DIR}/tools/kinds VERBATIM)
add_custom_target(test_kinds DEPENDS ${CMAKE_BINARY_DIR}/tests/kinds.stamp)
