# Layout, limits and layers of all C, and the checks themselves.
find_program(PYTHON3 python3 REQUIRED)
find_program(CLANG_FORMAT NAMES clang-format-14)
file(GLOB_RECURSE c_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/lib/*.[ch]
    ${CMAKE_SOURCE_DIR}/gateway/*.[ch] ${CMAKE_SOURCE_DIR}/services/*.[ch]
    ${CMAKE_SOURCE_DIR}/cli/*.[ch] ${CMAKE_SOURCE_DIR}/tests/*.[ch])
add_test(NAME style.limits COMMAND ${CMAKE_SOURCE_DIR}/tools/check-limits)
add_test(NAME style.layers COMMAND ${CMAKE_SOURCE_DIR}/tools/check-layers)
add_test(NAME style.checks COMMAND ${PYTHON3} ${CMAKE_CURRENT_LIST_DIR}/test_checks.py)
set(style_tests style.limits style.layers style.checks)
if(CLANG_FORMAT)
    add_test(NAME style.format COMMAND ${CLANG_FORMAT} --dry-run -Werror ${c_files})
    list(APPEND style_tests style.format)
else()
    message(STATUS "style.format is left out: clang-format-14 is not here")
endif()
set_tests_properties(${style_tests} PROPERTIES LABELS style TIMEOUT 60)
