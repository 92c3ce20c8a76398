/*
 * trace: the trace context of a request (W3C Trace Context): taken from the client when it is
 * well-formed, made otherwise. It goes with each event as it came, since the door has no spans of
 * its own; a made one says that nothing was sampled.
 */
#ifndef MR_TRACE_H
#define MR_TRACE_H

#include "base/base.h"

enum { TRACE_TEXT = 55, TRACE_ID_AT = 3, TRACE_ID_TEXT = 32 };

/* False: it is not well-formed, nothing was written. A later version is taken as version 00. */
bool trace_take(struct mr_slice text, char ret[TRACE_TEXT + 1]);
/* A trace of its own, whose parent id is the request's number in the access log. */
void trace_make(uint64_t number, char ret[TRACE_TEXT + 1]);

#endif
