/*
 * store: checks keys, opens drivers and tries a call again until its deadline.
 *
 * Trying again lives here and not in the drivers, so that a driver is one honest attempt. A lost
 * reply is tried again like any other failure; that put_new then answers EXISTS to its own first
 * try is left to the caller, who alone can tell its own object from another's (LAW 20).
 */
#include "store/store.h"

#include "clock/clock.h"
#include "store/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DEADLINE_MS = 30000, TRIES_PER_DEADLINE = 3, ITEMS_FIRST = 64 };
static const int64_t FILE_BYTES_MAX = 5LL << 30;

struct mr_store {
    const struct mr_store_driver *driver;
    void *state;
    char *url;
    int64_t deadline_ms;
    pthread_mutex_t lock;          /* of what follows */
    int64_t began_ms;              /* the try under way; 0: none is */
    char trouble[MR_ERR_TEXT_MAX]; /* of the last try; "": it was good */
};

typedef int operation(void *state, struct mr_store_call *call, struct mr_err *err);

bool
mr_store_key_ok(struct mr_slice key)
{
    const unsigned char *bytes = key.data;
    if (key.size == 0 || key.size > MR_STORE_KEY_MAX || !mr_utf8_valid(key))
        return false;
    size_t segment = 0;
    for (size_t i = 0; i <= key.size; i++) {
        if (i < key.size && bytes[i] != '/') {
            bool c1 = bytes[i] == 0xc2 && bytes[i + 1] < 0xa0;
            if (bytes[i] < 0x20 || bytes[i] == 0x7f || c1)
                return false;
            continue;
        }
        struct mr_slice name = mr_slice(bytes + segment, i - segment);
        if (name.size == 0 || mr_slice_is_text(name, ".") || mr_slice_is_text(name, ".."))
            return false;
        segment = i + 1;
    }
    return true;
}

bool
mr_store_key_own(const char *key)
{
    size_t length = strlen(MR_STORE_OWN);
    return strncmp(key, MR_STORE_OWN, length) == 0 && (key[length] == '/' || key[length] == '\0');
}

static int
check_key(const struct mr_store *store, const char *key, struct mr_err *err)
{
    MR_ASSERT(store != NULL);
    MR_ASSERT(key != NULL);
    if (!mr_store_key_ok(mr_slice_text(key)))
        return mr_fail(err, MR_E(INVALID), MR_REJECT,
                       "%s: '%.200s' is no key: 1 to %d bytes of UTF-8 without controls, no empty "
                       "segment, no . or ..",
                       store->url, key, MR_STORE_KEY_MAX);
    if (mr_store_key_own(key))
        return mr_fail(err, MR_E(INVALID), MR_REJECT,
                       "%s: '%.200s' is kept for the store's own use", store->url, key);
    return 0;
}

/* ---- one call, tried until its deadline ---- */

static void
pause_ms(int64_t ms)
{
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    while (nanosleep(&left, &left) != 0)
        MR_ASSERT(errno == EINTR);
}

static void
note_begin(struct mr_store *store)
{
    MR_ASSERT(pthread_mutex_lock(&store->lock) == 0);
    store->began_ms = mr_now_ms();
    MR_ASSERT(pthread_mutex_unlock(&store->lock) == 0);
}

/* What the store answered in good order, such as that there is no such object, is no trouble. */
static void
note_end(struct mr_store *store, const struct mr_err *tried)
{
    MR_ASSERT(pthread_mutex_lock(&store->lock) == 0);
    store->began_ms = 0;
    (void)snprintf(store->trouble, sizeof(store->trouble), "%s",
                   tried->remedy == MR_RETRY ? tried->text : "");
    MR_ASSERT(pthread_mutex_unlock(&store->lock) == 0);
}

bool
mr_store_away(struct mr_store *store, int64_t patience_ms, char *ret_why, size_t size)
{
    MR_ASSERT(pthread_mutex_lock(&store->lock) == 0);
    int64_t age_ms = store->began_ms > 0 ? mr_now_ms() - store->began_ms : 0;
    bool failed = store->trouble[0] != '\0', waits = age_ms > patience_ms;
    if (failed)
        (void)snprintf(ret_why, size, "%s", store->trouble);
    else if (waits)
        (void)snprintf(ret_why, size, "%s has not answered for %lld ms", store->url,
                       (long long)age_ms);
    MR_ASSERT(pthread_mutex_unlock(&store->lock) == 0);
    return failed || waits;
}

static int
persist(struct mr_store *store, operation *attempt_once, struct mr_store_call *call,
        struct mr_err *err)
{
    int64_t start_ms = mr_now_ms();
    call->deadline_ms = start_ms + store->deadline_ms;
    call->stall_ms = store->deadline_ms / TRIES_PER_DEADLINE + 1;
    for (unsigned attempt = 0;; attempt++) {
        struct mr_err tried = { 0 };
        note_begin(store);
        int result = attempt_once(store->state, call, &tried);
        note_end(store, &tried);
        if (result == 0)
            return 0;
        MR_ASSERT(tried.code < 0);
        bool again = tried.code == MR_E(UNAVAILABLE) || tried.code == MR_E(TIMEOUT);
        int64_t wait_ms = mr_backoff_ms(attempt);
        if (again && mr_now_ms() + wait_ms < call->deadline_ms) {
            pause_ms(wait_ms);
            continue;
        }
        if (attempt == 0)
            return mr_fail(err, tried.code, tried.remedy, "%s", tried.text);
        return mr_fail(err, tried.code, tried.remedy, "%s (try %u, after %lld ms)", tried.text,
                       attempt + 1, (long long)(mr_now_ms() - start_ms));
    }
}

/* ---- open and close ---- */

int
mr_store_open(const char *url, const struct mr_store_options *options, struct mr_store **ret,
              struct mr_err *err)
{
    static const struct mr_store_options none;
    MR_ASSERT(url != NULL);
    MR_ASSERT(ret != NULL);
    if (options == NULL)
        options = &none;
    MR_ASSERT(options->deadline_ms >= 0);

    MR_CLEANUP(mr_store_closep) struct mr_store *store = mr_alloc(sizeof(*store));
    store->deadline_ms = options->deadline_ms > 0 ? options->deadline_ms : DEADLINE_MS;
    MR_ASSERT(pthread_mutex_init(&store->lock, NULL) == 0);
    struct mr_err failed = { 0 };
    if (strncmp(url, "file:", 5) == 0) {
        store->driver = &mr_store_file;
        (void)mr_store_file_open(url + 5, &store->state, &store->url, &failed);
    } else if (strncmp(url, "s3://", 5) == 0) {
        store->driver = &mr_store_s3;
        (void)mr_store_s3_open(url + 5, options, &store->state, &store->url, &failed);
    } else {
        (void)mr_fail(&failed, MR_E(INVALID), MR_FATAL,
                      "store '%.200s' is neither file:DIR nor s3://BUCKET[/PREFIX]", url);
    }
    if (failed.code != 0)
        return mr_fail(err, failed.code, failed.remedy, "%s", failed.text);
    *ret = MR_TAKE(store);
    return 0;
}

void
mr_store_close(struct mr_store *store)
{
    if (store == NULL)
        return;
    if (store->state != NULL)
        store->driver->close(store->state);
    free(store->url);
    (void)pthread_mutex_destroy(&store->lock);
    free(store);
}

void
mr_store_closep(struct mr_store **store)
{
    mr_store_close(*store);
    *store = NULL;
}

const char *
mr_store_url(const struct mr_store *store)
{
    MR_ASSERT(store != NULL);
    return store->url;
}

/* ---- objects ---- */

static int
put(struct mr_store *store, struct mr_store_call *call, struct mr_err *err)
{
    return persist(store, store->driver->put, call, err);
}

int
mr_store_put(struct mr_store *store, const char *key, struct mr_slice body,
             const struct mr_meta *meta, struct mr_err *err)
{
    if (check_key(store, key, err) != 0)
        return MR_E(INVALID);
    struct mr_store_call call = {
        .key = key, .fd = -1, .body = body, .bytes = (int64_t)body.size, .meta = meta
    };
    return put(store, &call, err);
}

int
mr_store_put_new(struct mr_store *store, const char *key, struct mr_slice body,
                 const struct mr_meta *meta, struct mr_err *err)
{
    if (check_key(store, key, err) != 0)
        return MR_E(INVALID);
    struct mr_store_call call = { .key = key,
                                  .fd = -1,
                                  .body = body,
                                  .bytes = (int64_t)body.size,
                                  .meta = meta,
                                  .create = true };
    return put(store, &call, err);
}

static void
closep(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

int
mr_store_put_new_file(struct mr_store *store, const char *key, const char *path,
                      const struct mr_meta *meta, struct mr_err *err)
{
    MR_ASSERT(path != NULL);
    if (check_key(store, key, err) != 0)
        return MR_E(INVALID);
    MR_CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat file;
    if (fd < 0 || fstat(fd, &file) != 0)
        return mr_fail(err, MR_E(IO), MR_RETRY, "%s: %s", path, strerror(errno));
    if (file.st_size > FILE_BYTES_MAX)
        return mr_fail(err, MR_E(TOO_LARGE), MR_REJECT, "%s has %lld bytes, above %lld", path,
                       (long long)file.st_size, (long long)FILE_BYTES_MAX);
    struct mr_store_call call = {
        .key = key, .fd = fd, .bytes = file.st_size, .meta = meta, .create = true
    };
    return put(store, &call, err);
}

int
mr_store_get(struct mr_store *store, const char *key, struct mr_buf *ret_body,
             struct mr_meta *ret_meta, struct mr_err *err)
{
    MR_ASSERT(ret_body != NULL);
    if (check_key(store, key, err) != 0)
        return MR_E(INVALID);
    struct mr_store_call call = {
        .key = key, .fd = -1, .ret_body = ret_body, .ret_meta = ret_meta
    };
    return persist(store, store->driver->get, &call, err);
}

int
mr_store_get_range(struct mr_store *store, const char *key, int64_t from, int64_t count,
                   struct mr_buf *ret_body, struct mr_err *err)
{
    MR_ASSERT(ret_body != NULL);
    MR_ASSERT(from >= 0);
    MR_ASSERT(count > 0);
    if (check_key(store, key, err) != 0)
        return MR_E(INVALID);
    struct mr_store_call call = {
        .key = key, .fd = -1, .from = from, .count = count, .ret_body = ret_body
    };
    return persist(store, store->driver->get, &call, err);
}

int
mr_store_get_file(struct mr_store *store, const char *key, const char *path, struct mr_err *err)
{
    MR_ASSERT(path != NULL);
    if (check_key(store, key, err) != 0)
        return MR_E(INVALID);
    char uuid[MR_UUID_TEXT + 1];
    mr_uuid_text(uuid);
    MR_CLEANUP(mr_freep) char *temporary = mr_printf("%s.%s", path, uuid);
    MR_CLEANUP(closep) int fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return mr_fail(err, MR_E(IO), MR_RETRY, "%s: %s", temporary, strerror(errno));
    struct mr_store_call call = { .key = key, .fd = fd };
    int code = persist(store, store->driver->get, &call, err);
    /* Without fsync a power cut could leave the final name on an empty file. */
    if (code == 0 && (fsync(fd) != 0 || rename(temporary, path) != 0))
        code = mr_fail(err, MR_E(IO), MR_RETRY, "%s: %s", path, strerror(errno));
    if (code != 0)
        (void)unlink(temporary);
    return code;
}

int
mr_store_head(struct mr_store *store, const char *key, struct mr_object *ret_object,
              struct mr_meta *ret_meta, struct mr_err *err)
{
    if (check_key(store, key, err) != 0)
        return MR_E(INVALID);
    struct mr_store_call call = {
        .key = key, .fd = -1, .ret_object = ret_object, .ret_meta = ret_meta
    };
    return persist(store, store->driver->head, &call, err);
}

int
mr_store_remove(struct mr_store *store, const char *key, struct mr_err *err)
{
    if (check_key(store, key, err) != 0)
        return MR_E(INVALID);
    struct mr_store_call call = { .key = key, .fd = -1 };
    return persist(store, store->driver->remove, &call, err);
}

/* ---- list ---- */

/* The folders of a prefix have to be those of a key; what follows the last '/' may be any part. */
static bool
prefix_ok(const char *prefix)
{
    const char *slash = strrchr(prefix, '/');
    if (strlen(prefix) > MR_STORE_KEY_MAX || !mr_utf8_valid(mr_slice_text(prefix)))
        return false;
    return slash == NULL || mr_store_key_ok(mr_slice(prefix, (size_t)(slash - prefix)));
}

struct mr_object *
mr_store_list_item(struct mr_store_call *call)
{
    MR_ASSERT(call->items_count < call->count_max);
    if (call->items_count == call->items_capacity) {
        size_t grown = call->items_capacity == 0 ? ITEMS_FIRST : 2 * call->items_capacity;
        call->items_capacity = grown < call->count_max ? grown : call->count_max;
        call->items = mr_realloc(call->items, call->items_capacity * sizeof(*call->items));
    }
    struct mr_object *item = &call->items[call->items_count++];
    memset(item, 0, sizeof(*item));
    return item;
}

int
mr_store_list(struct mr_store *store, const char *prefix, const char *after, size_t count_max,
              struct mr_object **ret, size_t *ret_count, struct mr_err *err)
{
    MR_ASSERT(store != NULL);
    MR_ASSERT(prefix != NULL);
    MR_ASSERT(count_max > 0);
    MR_ASSERT(ret != NULL);
    MR_ASSERT(ret_count != NULL);
    if (!prefix_ok(prefix))
        return mr_fail(err, MR_E(INVALID), MR_REJECT, "%s: '%.200s' is no prefix of a key",
                       store->url, prefix);
    struct mr_store_call call = {
        .fd = -1, .prefix = prefix, .after = after != NULL ? after : "", .count_max = count_max
    };
    int code = persist(store, store->driver->list, &call, err);
    if (code != 0) {
        free(call.items);
        return code;
    }
    *ret = call.items;
    *ret_count = call.items_count;
    return 0;
}

/* ---- probe ---- */

static int
probe_twice(struct mr_store *store, struct mr_store_call *call, struct mr_err *err)
{
    struct mr_err first = { 0 };
    call->body = MR_SLICE("first");
    call->bytes = (int64_t)call->body.size;
    call->create = true;
    /* EXISTS under a new UUID is our own write whose reply was lost. */
    if (put(store, call, &first) != 0 && first.code != MR_E(EXISTS))
        return mr_fail(err, first.code, first.remedy, "%s", first.text);
    struct mr_err second = { 0 };
    call->body = MR_SLICE("again");
    call->sha256[0] = '\0';
    if (put(store, call, &second) == 0)
        return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL,
                       "%s does not honour create-if-absent: a second create of one key succeeded",
                       store->url);
    if (second.code != MR_E(EXISTS))
        return mr_fail(err, second.code, second.remedy, "%s", second.text);
    return 0;
}

static int
probe_read(struct mr_store *store, struct mr_store_call *call, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    struct mr_meta meta = { 0 };
    mr_buf_init(&body, 1024);
    call->ret_body = &body;
    call->ret_meta = &meta;
    if (persist(store, store->driver->get, call, err) != 0)
        return err->code;
    const char *value = mr_meta_get(&meta, "probe");
    if (!mr_slice_is_text(mr_buf_slice(&body), "first"))
        return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL,
                       "%s: a refused create changed the object all the same", store->url);
    if (value == NULL || strcmp(value, "1") != 0)
        return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL, "%s does not keep metadata", store->url);
    return 0;
}

int
mr_store_probe(struct mr_store *store, struct mr_err *err)
{
    MR_ASSERT(store != NULL);
    char uuid[MR_UUID_TEXT + 1];
    mr_uuid_text(uuid);
    MR_CLEANUP(mr_freep) char *key = mr_printf("%s/probe-%s", MR_STORE_OWN, uuid);
    struct mr_meta meta = { 0 };
    mr_meta_set(&meta, "probe", "1");
    struct mr_store_call call = { .key = key, .fd = -1, .meta = &meta };
    struct mr_err failed = { 0 };
    if (probe_twice(store, &call, &failed) == 0)
        (void)probe_read(store, &call, &failed);
    struct mr_store_call removal = { .key = key, .fd = -1 };
    if (failed.code == 0 || failed.code == MR_E(UNSUPPORTED))
        (void)persist(store, store->driver->remove, &removal, &failed);
    if (failed.code == 0)
        return 0;
    /* Later refusals may pass when credentials are renewed; at the start they are a mistake. */
    if (failed.code == MR_E(DENIED))
        failed.remedy = MR_FATAL;
    return mr_fail(err, failed.code, failed.remedy, "%s", failed.text);
}

/* ---- errno ---- */

int
mr_store_errno(struct mr_err *err, const char *format, ...)
{
    int number = errno;
    char what[MR_ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return mr_fail(err, MR_E(NOT_FOUND), MR_REJECT, "%s: does not exist", what);
    case EEXIST:
        return mr_fail(err, MR_E(EXISTS), MR_REJECT, "%s: exists already", what);
    case ENAMETOOLONG:
        return mr_fail(err, MR_E(INVALID), MR_REJECT,
                       "%s: a segment is too long for this file "
                       "system",
                       what);
    case ENOSPC:
    case EDQUOT:
        return mr_fail(err, MR_E(FULL), MR_RETRY, "%s: the disk is full (%s)", what,
                       strerror(number));
    case EACCES:
    case EPERM:
    case EROFS:
        return mr_fail(err, MR_E(DENIED), MR_RETRY, "%s: %s", what, strerror(number));
    default:
        return mr_fail(err, MR_E(IO), MR_RETRY, "%s: %s", what, strerror(number));
    }
}
