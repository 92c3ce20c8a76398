/*
 * store: named immutable objects with a little metadata. Create-if-absent is atomic.
 *
 * Two drivers. file:DIR keeps objects as files (created under a temporary name with their user
 * xattrs, then link(2)); a file system without user xattrs is refused. s3://BUCKET[/PREFIX] talks
 * S3 over libcurl with our own Signature Version 4 (curl's own differs between versions for keys
 * with '='); metadata travels as x-amz-meta-millrace-NAME.
 *
 * Calls are retried inside with jitter until deadline_ms; what is returned is final for this call.
 * A body that keeps flowing puts the deadline off by 1 s for each MiB, so that size alone cannot
 * make a call fail; a third of deadline_ms without a byte is a failed try. Calls of the file driver
 * are not retried. DENIED is not either: its remedy is RETRY, as credentials (read again after
 * each refusal) may come back; only mr_store_open and mr_store_probe make it FATAL. A full disk is
 * FULL. A missing bucket is INVALID, never NOT_FOUND, except for head, where S3 does not tell.
 *
 * After EXISTS the caller must read the object and see whether it is its own: an internal retry
 * after a lost reply looks the same as losing a race (LAW 20).
 *
 * Keys: 1..1024 bytes, segments apart by '/', none empty, none "." or ".."; any other byte of valid
 * UTF-8 but controls. The folder .millrace is the store's own. Files cannot have an object a and an
 * object a/b, nor a segment above 255 bytes: INVALID.
 *
 * Threads: a handle belongs to one thread; open one for each. On https a closed connection raises
 * SIGPIPE, which the process has to ignore.
 */
#ifndef MR_STORE_H
#define MR_STORE_H

#include "base/base.h"

struct mr_store;

enum {
    MR_STORE_KEY_MAX = 1024,
    MR_STORE_META_MAX = 8,
    MR_STORE_NAME_MAX = 31,
    MR_STORE_VALUE_MAX = 127,
};

struct mr_store_options {
    const char *s3_endpoint; /* http://host:port (path style), or NULL: AWS by region */
    const char *s3_region;   /* NULL: AWS_REGION, AWS_DEFAULT_REGION, us-east-1 */
    int64_t deadline_ms;     /* 0: 30000 */
};
/* Credentials: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or the file of
 * AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials) with AWS_PROFILE. The file driver creates DIR.
 */
int mr_store_open(const char *url, const struct mr_store_options *options, struct mr_store **ret,
                  struct mr_err *err);
void mr_store_close(struct mr_store *store);
void mr_store_closep(struct mr_store **store);
/* "file:/abs/dir" or "s3://bucket/prefix", as it is used. Borrowed. */
const char *mr_store_url(const struct mr_store *store);
/* Writes, conditionally creates twice, reads and removes a probe object: the store is writable and
 * honours create-if-absent. UNSUPPORTED when the second create succeeds. */
int mr_store_probe(struct mr_store *store, struct mr_err *err);

/* True while the store does not do its job: the last try of the call under way failed, or it has
 * had no answer for patience_ms; or the last call failed in the end. Any thread. */
bool mr_store_away(struct mr_store *store, int64_t patience_ms, char *ret_why, size_t size);

/* Names are [a-z0-9-], values printable ASCII, not empty, without blanks at the ends. */
struct mr_meta {
    struct {
        char name[MR_STORE_NAME_MAX + 1];
        char value[MR_STORE_VALUE_MAX + 1];
    } items[MR_STORE_META_MAX];
    size_t count;
};
void mr_meta_set(struct mr_meta *meta, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *mr_meta_get(const struct mr_meta *meta, const char *name); /* NULL: absent */

struct mr_object {
    char key[MR_STORE_KEY_MAX + 1];
    int64_t bytes;
    int64_t modified_ms; /* wall */
};

int mr_store_put(struct mr_store *store, const char *key, struct mr_slice body,
                 const struct mr_meta *meta, struct mr_err *err);
/* EXISTS when there is an object of that name already, whoever made it. */
int mr_store_put_new(struct mr_store *store, const char *key, struct mr_slice body,
                     const struct mr_meta *meta, struct mr_err *err);
/* The same from a local file, up to 5 GiB. */
int mr_store_put_new_file(struct mr_store *store, const char *key, const char *path,
                          const struct mr_meta *meta, struct mr_err *err);
/* NOT_FOUND when absent. ret_meta and ret_object may be NULL. The body replaces what ret_body held;
 * TOO_LARGE above ret_body->max, and after any failure it holds nothing of use. */
int mr_store_get(struct mr_store *store, const char *key, struct mr_buf *ret_body,
                 struct mr_meta *ret_meta, struct mr_err *err);
/* Bytes [from, from + count) of an object; fewer at its end. */
int mr_store_get_range(struct mr_store *store, const char *key, int64_t from, int64_t count,
                       struct mr_buf *ret_body, struct mr_err *err);
/* Into a file made under a temporary name beside path and renamed when complete. */
int mr_store_get_file(struct mr_store *store, const char *key, const char *path,
                      struct mr_err *err);
int mr_store_head(struct mr_store *store, const char *key, struct mr_object *ret_object,
                  struct mr_meta *ret_meta, struct mr_err *err);
/* Keys that begin with prefix and are greater than after (NULL: from the first), in byte order, at
 * most count_max; the caller frees *ret. Fewer than count_max came: that was all. Our own
 * temporary and probe objects are not shown. */
int mr_store_list(struct mr_store *store, const char *prefix, const char *after, size_t count_max,
                  struct mr_object **ret, size_t *ret_count, struct mr_err *err);
/* Gone already is fine. */
int mr_store_remove(struct mr_store *store, const char *key, struct mr_err *err);

#endif
