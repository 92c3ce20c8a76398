# A dose of faults with a fixed seed, each of these sorts once; long runs are by hand: tests/fault/run.
set(fault_dose kill-gateway,kill-validator,kill-cleaner,kill-archiver,kill-query,term-archiver
    scale-validator,freeze-cleaner,twins-validator,kill-broker)
string(REPLACE ";" "," fault_dose "${fault_dose}")
add_test(NAME fault.dose WORKING_DIRECTORY ${CMAKE_BINARY_DIR}
    COMMAND ${CMAKE_SOURCE_DIR}/tests/fault/run --each --seed 1 --rate 60 --round 300
            --dir ${CMAKE_BINARY_DIR}/fault/dose --only ${fault_dose})
set_tests_properties(fault.dose PROPERTIES LABELS fault TIMEOUT 400 RESOURCE_LOCK e2e COST 10
    ENVIRONMENT "MILLRACE_BUILD=${CMAKE_BINARY_DIR};MILLRACE_DEPS=${MILLRACE_DEPS}")
