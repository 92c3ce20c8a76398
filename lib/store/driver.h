/*
 * driver: what a store driver does, inside this folder only.
 *
 * Every operation takes the one call record and makes one try. UNAVAILABLE and TIMEOUT mean "not
 * now": store.c tries those again until the call's deadline; every other code is final. The file
 * driver never returns them, so its calls are made once.
 */
#ifndef MR_STORE_DRIVER_H
#define MR_STORE_DRIVER_H

#include "sigv4/sigv4.h"
#include "store/store.h"

/* Keys of this folder are ours: temporary files and probe objects. */
#define MR_STORE_OWN ".millrace"

struct mr_store_call {
    const char *key;     /* of the object; NULL for list */
    int64_t deadline_ms; /* monotonic: no try begins behind it */
    int64_t stall_ms;    /* a try in which nothing moves for so long has failed */
    int fd;              /* put: source, get: sink, in place of body and ret_body; -1: none */

    struct mr_slice body;           /* put */
    int64_t bytes;                  /* put: of body or of the file behind fd */
    const struct mr_meta *meta;     /* put; may be NULL */
    bool create;                    /* put: only when absent */
    char sha256[MR_SHA256_HEX + 1]; /* put: kept by the driver between tries; "": not yet known */

    int64_t from, count;          /* get: a range; count 0: everything */
    struct mr_buf *ret_body;      /* get; holds what came only on success */
    struct mr_object *ret_object; /* get, head */
    struct mr_meta *ret_meta;     /* get, head */

    const char *prefix, *after; /* list; never NULL, "" means none */
    size_t count_max;           /* list */
    struct mr_object *items;    /* list: grows; a further try goes on behind the last item */
    size_t items_count, items_capacity;
};

struct mr_store_driver {
    int (*put)(void *state, struct mr_store_call *call, struct mr_err *err);
    int (*get)(void *state, struct mr_store_call *call, struct mr_err *err);
    int (*head)(void *state, struct mr_store_call *call, struct mr_err *err);
    int (*list)(void *state, struct mr_store_call *call, struct mr_err *err);
    int (*remove)(void *state, struct mr_store_call *call, struct mr_err *err);
    void (*close)(void *state);
};
extern const struct mr_store_driver mr_store_file;
extern const struct mr_store_driver mr_store_s3;

/* path is what follows "file:" or "s3://". ret_url is the caller's to free. */
int mr_store_file_open(const char *path, void **ret_state, char **ret_url, struct mr_err *err);
int mr_store_s3_open(const char *path, const struct mr_store_options *options, void **ret_state,
                     char **ret_url, struct mr_err *err);

bool mr_store_key_ok(struct mr_slice key); /* the form of a key; says nothing about whose */
bool mr_store_key_own(const char *key);    /* in our own folder */
/* A new item at the end of the list. Borrowed until the next. */
struct mr_object *mr_store_list_item(struct mr_store_call *call);
void mr_meta_add(struct mr_meta *meta, struct mr_slice name, struct mr_slice value);
/* What errno means for what stands in text. An absent name is NOT_FOUND. */
int mr_store_errno(struct mr_err *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
