/*
 * media: what a body is by its Content-Type, and what an answer shall be by Accept (RFC 9110,
 * 12.5.1).
 */
#ifndef MR_MEDIA_H
#define MR_MEDIA_H

#include "base/base.h"

/* How keys and values stand in a body of the REST proxy. REGISTRY: as Avro, JSON Schema or
 * Protobuf, which need a schema registry. */
enum format { FORMAT_JSON, FORMAT_BINARY, FORMAT_REGISTRY, FORMAT_UNKNOWN };

/* Parameters do not matter; no Content-Type at all is JSON. */
enum format media_format(struct mr_slice content_type);
/* The place of the offered type that fits best: by weight, then the first one; without Accept the
 * first. -1: none is accepted. */
int media_pick(struct mr_slice accept, const char *const *offered, size_t count);

#endif
