/*
 * letter: dead letters as rows, for the table `<tenant>_dead_table` and its live tail.
 *
 * A replay leaves a mark behind its letter, on the same partition: a row whose columns replayed_*
 * are set and whose code is NULL. It names the letter by the origin that both have, and is no dead
 * letter: whoever counts or shows letters leaves it out.
 *
 * Threads: any; the schema is constant.
 */
#ifndef MR_LETTER_H
#define MR_LETTER_H

#include "base/base.h"
#include "columns/columns.h"

/* event_id kind stage code field rule value reason string, original binary, topic string, partition
 * integer, offset long, contract_version integer, received_at dead_at timestamp,
 * traceparent string, attempts integer, first_dead_at timestamp, replayed_partition integer,
 * replayed_offset long, replayed_at timestamp. */
const struct mr_schema *mr_letter_schema(void);
/* Appends one packed millrace.v1.DeadLetter as a row, a mark too. CORRUPT: it is none (nothing is
 * appended). */
int mr_letter_decode(struct mr_slice packed, struct mr_columns *to, struct mr_err *err);

struct Millrace__V1__Provenance;
/* Why the header of a raw record cannot be used, as a sentence; NULL: it can. provenance NULL: it
 * was none. All who read raw records go by this, so that they agree on who is who. */
const char *mr_provenance_fault(const struct Millrace__V1__Provenance *provenance);

#endif
