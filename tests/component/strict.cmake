mr_test(component strict SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_strict.c
    ${CMAKE_CURRENT_LIST_DIR}/gate.c LINK mr_gateway mr_bus mr_metrics mr_wire)
add_dependencies(test_component_strict kinds)
