/* The promises of bus.h on a real broker, and what only a real broker can show. */
#include <stdio.h>
#include <stdlib.h>

#include "broker.h"
#include "bus_promises.h"
#include "bus_tools.h"

static struct broker broker;

static struct mr_bus *
open_bus_with(const char *config)
{
    struct mr_bus *bus;
    struct mr_bus_options options = { .bootstrap = broker.bootstrap,
                                      .client_id = "test",
                                      .kafka_config = config };
    TOOL_OK(mr_bus_open(&options, &bus, &oops));
    return bus;
}

static int
open_bus(void **state)
{
    *state = open_bus_with(NULL);
    return 0;
}

static int
close_bus(void **state)
{
    mr_bus_close(*state);
    return 0;
}

int
main(void)
{
    broker_start(&broker, NULL);
    int failed = _cmocka_run_group_tests("reading from Kafka", bus_reading, bus_reading_count,
                                         open_bus, close_bus);
    failed += _cmocka_run_group_tests("writing to Kafka", bus_writing, bus_writing_count, open_bus,
                                      close_bus);
    broker_stop(&broker);
    return failed;
}
