/*
 * letter: dead letters as rows, for the table `<tenant>_dead_table` and its live tail.
 *
 * Threads: any; the schema is constant.
 */
#ifndef MR_LETTER_H
#define MR_LETTER_H

#include "base/base.h"
#include "columns/columns.h"

/* event_id kind stage code field rule value reason string, original binary, topic string, partition
 * integer, offset long, contract_version integer, received_at dead_at timestamp,
 * traceparent string. */
const struct mr_schema *mr_letter_schema(void);
/* Appends one packed millrace.v1.DeadLetter as a row. CORRUPT: it is none (nothing is appended). */
int mr_letter_decode(struct mr_slice packed, struct mr_columns *to, struct mr_err *err);

#endif
