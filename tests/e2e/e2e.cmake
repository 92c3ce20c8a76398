# Whole systems, started by tools/up and looked at from Python: one ctest for each file. One runs at
# a time, since each has a broker, an S3 server and five services of its own.
set(e2e_python ${MILLRACE_DEPS}/venv/bin/python)
function(mr_e2e name timeout)
    add_test(NAME e2e.${name} WORKING_DIRECTORY ${CMAKE_BINARY_DIR}
        COMMAND ${e2e_python} -B -m pytest -p no:cacheprovider -v --tb=short
                ${CMAKE_SOURCE_DIR}/tests/e2e/test_${name}.py)
    set_tests_properties(e2e.${name} PROPERTIES LABELS e2e TIMEOUT ${timeout} RESOURCE_LOCK e2e COST 10
        ENVIRONMENT "MILLRACE_SOURCE=${CMAKE_SOURCE_DIR};MILLRACE_BUILD=${CMAKE_BINARY_DIR}")
endfunction()
mr_e2e(answers 300)
mr_e2e(kills 400)
mr_e2e(up 300)
mr_e2e(kinds 120)
mr_e2e(config 60)
mr_e2e(replay 240)
mr_e2e(verify 180)
mr_e2e(verify_replays 120)
mr_e2e(verify_partly 240)
mr_e2e(visible 180)
mr_e2e(dead 240)
mr_e2e(outage 180)
