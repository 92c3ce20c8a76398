/*
 * kinesis_doc: the body of a native Kinesis request as a tree, from JSON or CBOR. Both ways are
 * bounded in depth and in the count of values; texts and bytes of CBOR, and texts of JSON without
 * escapes, are borrowed from the body, everything else lives in the arena.
 */
#ifndef MR_KINESIS_DOC_H
#define MR_KINESIS_DOC_H

#include "base/base.h"

enum {
    DOC_DEPTH_MAX = 16,
    DOC_VALUES_MAX = 16384, /* 500 records hold 2,000 */
};

enum doc_type { DOC_NULL, DOC_BOOL, DOC_NUMBER, DOC_TEXT, DOC_BYTES, DOC_LIST, DOC_MAP };

struct doc {
    enum doc_type type;
    bool is_true;
    bool is_milliseconds; /* a whole number of CBOR, where times are such; in JSON seconds */
    double number;
    struct mr_slice text; /* or bytes */
    struct mr_slice name; /* in its map */
    size_t count;         /* of a list or map */
    struct doc *first, *next;
};

/* INVALID: it is not whole, not of that coding, or beyond the bounds; the text says where. */
int doc_from_json(struct mr_slice body, struct mr_arena *arena, const struct doc **ret,
                  struct mr_err *err);
int doc_from_cbor(struct mr_slice body, struct mr_arena *arena, const struct doc **ret,
                  struct mr_err *err);
/* A member that is there and not null, or NULL. The last one of that name counts. */
const struct doc *doc_get(const struct doc *map, const char *name);

/* For both readers: a new value at the end of *last; NULL beyond DOC_VALUES_MAX. */
struct doc_room {
    struct mr_arena *arena;
    size_t count;
};
struct doc *doc_add(struct doc_room *room, struct doc *parent, struct doc **last);

#endif
