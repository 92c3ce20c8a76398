/*
 * strict: checks events at the door as the validator would, for those tenants and topics whose
 * clients asked to be told at once. Everybody else's events go on as they are.
 *
 * Contracts are read at open and on reload, the gateway after all others (LAW 22): the door never
 * lets in what a stage behind it does not know yet.
 *
 * Threads: the door's.
 */
#ifndef MR_STRICT_H
#define MR_STRICT_H

#include "base/base.h"
#include "contract/contract.h"
#include "gateway/admit.h"

struct strict;

enum { STRICT_PATTERNS_MAX = 64, STRICT_SHOWN_MAX = 100 /* events that an answer tells about */ };

/* patterns: a1b2c3, a1b2c3.pin, *.pin or *, with commas between; *ret stays NULL when there is
 * none. INVALID names the one that is wrong. */
int strict_open(const char *patterns, const char *kinds, struct strict **ret, struct mr_err *err);
void strict_close(struct strict *strict);
int strict_reload(struct strict *strict, struct mr_err *err); /* on failure the old ones stay */
bool strict_covers(const struct strict *strict, const char *topic);
/* value.data NULL: a tombstone. False: the verdict says why; borrowed until the next call. */
bool strict_judge(struct strict *strict, const char *topic, struct mr_slice value,
                  const struct mr_verdict **ret);

/* Judges a post once. The count of events that fail; those are marked as not stored, and *ret_list
 * holds the first of them, as members of a JSON list: index, field, rule, value, reason. */
size_t strict_judge_post(struct strict *strict, struct post *post, struct mr_buf *ret_list);

#endif
