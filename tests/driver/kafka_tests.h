/* What the files of the driver test share. */
#ifndef MR_KAFKA_TESTS_H
#define MR_KAFKA_TESTS_H

#include "broker.h"
#include "bus_tools.h"
#include "test.h"

extern struct broker broker;
extern const char *program; /* for a second process: this program, started with a role */

struct mr_bus *open_bus_at(const char *bootstrap, const char *config);
void write_config(char path[], size_t size, const char *text);

/* kafka_away.c: processes and members that are killed, stopped, replaced. */
int play_role(char *const *arguments);
extern const struct CMUnitTest kafka_away[];
extern const size_t kafka_away_count;

/* kafka_large.c: records larger than their topic takes, in transactions. */
extern const struct CMUnitTest kafka_large[];
extern const size_t kafka_large_count;

#endif
