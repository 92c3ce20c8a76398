# Clients that people use, against the real programs on a real broker, and the gateway under stress.
# One runs at a time, beside the whole systems of e2e.
function(mr_conformance name timeout)
    list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_LIST_DIR}/ OUTPUT_VARIABLE files)
    add_test(NAME conformance.${name} WORKING_DIRECTORY ${CMAKE_BINARY_DIR}
        COMMAND ${MILLRACE_DEPS}/venv/bin/python -B -m pytest -p no:cacheprovider -v --tb=short
                --durations=5 ${files})
    set_tests_properties(conformance.${name} PROPERTIES
        LABELS conformance TIMEOUT ${timeout} RESOURCE_LOCK conformance COST 10 ENVIRONMENT
        "MILLRACE_SOURCE=${CMAKE_SOURCE_DIR};MILLRACE_BUILD=${CMAKE_BINARY_DIR};MILLRACE_DEPS=${MILLRACE_DEPS}")
endfunction()
mr_conformance(clients 300 test_curl.py test_scripts.py test_events.py test_rest.py
               test_kinesis.py)
mr_conformance(stress 240 test_stress.py)
