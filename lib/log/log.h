/*
 * log: one logfmt line per outcome on stderr, from programs only; library code returns errors.
 *
 *   time=2026-01-02T03:04:05.678Z level=info process=validator event=assigned topic=a.pin part=0
 *
 * error = a person must act; warn = degraded; info = lifecycle; debug = per batch. Never one line
 * per event at info. Threads: any.
 */
#ifndef MR_LOG_H
#define MR_LOG_H

#include "base/base.h"

enum mr_level { MR_LOG_ERROR, MR_LOG_WARN, MR_LOG_INFO, MR_LOG_DEBUG };

/* process is borrowed for ever (a literal). */
void mr_log_open(const char *process, enum mr_level most_verbose);
/* event is a stable kebab-case name; the rest is a printf format of " key=value" pairs, where text
 * from outside goes through %s inside quotes: mr_log_quote. */
void mr_log(enum mr_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* As above, and adds code= and reason= of err. */
void mr_log_err(enum mr_level level, const char *event, const struct mr_err *err,
                const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Quotes and escapes text for a value; the result lives in a per-thread ring of 8. Cut at 256. */
const char *mr_log_quote(struct mr_slice text);
/* At most one line per interval for a repeating condition: true when it is time to speak again. */
struct mr_log_gate {
    int64_t next_ms;
};
bool mr_log_due(struct mr_log_gate *gate, int64_t interval_ms);
/* Tests: lines go into the buffer instead of stderr until called with NULL. */
void mr_log_capture(struct mr_buf *buf);

#endif
