/*
 * Bodies of requests about consumers. They are small, so they are read as JSON documents.
 */
#ifndef MR_REST_V2_BODY_H
#define MR_REST_V2_BODY_H

#include "gateway/rest_v2_task.h"

#include <jansson.h>

enum { BODY_BYTES_MAX = 1 << 20, BODY_TOPICS_MAX = 256, BODY_PLACES_MAX = 1000 };

void rest_v2_json_freep(json_t **json);
/* 0: the body is an object, or empty and *ret NULL; else the request has been answered. */
int rest_v2_body(const struct call *call, const struct dialect *as, json_t **ret);

/* What a consumer shall be; text of what is wrong in err with INVALID (of a setting) or
 * UNSUPPORTED (there is no such field). */
struct wish {
    const char *name; /* NULL: none; borrowed from the body */
    struct consumer_options options;
    int timeout_ms;
};
int rest_v2_wish(const json_t *body, struct wish *ret, struct mr_err *err);

/* {"partitions":[..]} or, with offsets, {"offsets":[..]} into the task; INVALID. */
int rest_v2_places(const json_t *body, bool has_offsets, struct task *task, struct mr_err *err);

#endif
