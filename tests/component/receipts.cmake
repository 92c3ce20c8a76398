mr_test(component receipts SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_receipts.c
    ${CMAKE_CURRENT_LIST_DIR}/gate.c LINK mr_gateway mr_bus mr_metrics mr_wire)
