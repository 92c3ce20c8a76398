# What deploy/ holds, read without an engine: the compose file, the images' recipe, the manifests.
set(here ${CMAKE_CURRENT_LIST_DIR})
foreach(what compose kubernetes)
    add_test(NAME docs.${what} COMMAND ${here}/run ${MILLRACE_DEPS} test_${what}.py)
    set_tests_properties(docs.${what} PROPERTIES LABELS docs TIMEOUT 120 SKIP_RETURN_CODE 77)
endforeach()
