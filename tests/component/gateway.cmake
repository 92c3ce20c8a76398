mr_test(component gateway SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_gateway.c
    ${CMAKE_CURRENT_LIST_DIR}/test_gateway_forms.c ${CMAKE_CURRENT_LIST_DIR}/gate.c
    LINK mr_gateway mr_bus mr_metrics mr_wire)
