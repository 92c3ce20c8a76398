/*
 * base: what every other module stands on: errors that carry a remedy, assertions that stay on,
 * cleanup by scope, views, growing buffers with a maximum, arenas, and a few encodings.
 *
 * Threads: nothing here has hidden state; an object belongs to one thread at a time.
 */
#ifndef MR_BASE_H
#define MR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- assertions: our own faults crash, also in release builds ---- */

#define MR_ASSERT(x) ((x) ? (void)0 : mr_assert_failed(#x, __FILE__, __LINE__))
_Noreturn void mr_assert_failed(const char *expression, const char *file, int line);

/* ---- cleanup by scope ---- */

/* MR_CLEANUP(mr_store_closep) struct mr_store *store = NULL; runs mr_store_closep(&store) at the
 * end of the scope. MR_TAKE(p) gives the value away and leaves NULL behind. */
#define MR_CLEANUP(f) __attribute__((cleanup(f), unused))
#define MR_TAKE(p)                                                                                 \
    __extension__({                                                                                \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })
void mr_freep(void *pointer_to_pointer); /* MR_CLEANUP(mr_freep) char *text = NULL; */

#define MR_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Allocation never returns NULL: with no memory left the process ends (crash-only). */
void *mr_alloc(size_t bytes); /* zeroed */
void *mr_realloc(void *p, size_t bytes);
char *mr_strdup(const char *text);
char *mr_strndup(const char *text, size_t length);
char *mr_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- errors ---- */

/* X(name, text): every code that a fallible function may return (as the negative MR_E value). */
#define MR_CODES(X)                                                                                \
    X(INVALID, "input or option is not acceptable")                                                \
    X(NOT_FOUND, "the named thing does not exist")                                                 \
    X(EXISTS, "the named thing exists already")                                                    \
    X(CONFLICT, "somebody else was first; read again and decide anew")                             \
    X(TOO_LARGE, "a stated limit is exceeded")                                                     \
    X(FULL, "a bounded queue or buffer is full; try later")                                        \
    X(TIMEOUT, "the deadline passed")                                                              \
    X(UNAVAILABLE, "the other side cannot be reached or cannot serve now")                         \
    X(DENIED, "credentials or rights were refused")                                                \
    X(FENCED, "another process with this name has taken over")                                     \
    X(STALE, "the assignment that this work belongs to is gone; drop it")                          \
    X(ABORTED, "the transaction must be aborted")                                                  \
    X(IDENTITY, "a topic, table or object chain is not the one expected")                          \
    X(CORRUPT, "stored data does not hold together")                                               \
    X(UNSUPPORTED, "a form that is known but not supported")                                       \
    X(IO, "a local input or output operation failed")                                              \
    X(CANCELLED, "the caller gave up")                                                             \
    X(INTERNAL, "a library answered in a way that was not foreseen")

enum mr_code {
    MR_OK = 0,
#define MR_X(name, text) MR_CODE_##name,
    MR_CODES(MR_X)
#undef MR_X
        MR_CODE_COUNT
};
#define MR_E(name) (-(int)MR_CODE_##name) /* MR_E(NOT_FOUND) is what a function returns */

/* What the caller can do about it. */
enum mr_remedy {
    MR_RETRY,  /* the world's fault: keep the state, try again later */
    MR_REJECT, /* the input's fault: refuse this one, go on */
    MR_FATAL,  /* nothing here can mend it: end the process */
};

enum { MR_ERR_TEXT_MAX = 512 };

/* On the caller's stack, zero-initialised: struct mr_err err = { 0 }; The first failure wins:
 * mr_fail on an err that already carries a code only returns that code. text names the thing, the
 * value and the fix, without a trailing period. */
struct mr_err {
    int code; /* 0 or a negative MR_E value */
    enum mr_remedy remedy;
    char text[MR_ERR_TEXT_MAX];
};

/* Fills err (may be NULL) and returns code: return mr_fail(err, MR_E(TIMEOUT), MR_RETRY, "..."); */
int mr_fail(struct mr_err *err, int code, enum mr_remedy remedy, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Puts "what: " in front of the text; returns err->code. */
int mr_fail_in(struct mr_err *err, const char *what, ...) __attribute__((format(printf, 2, 3)));
const char *mr_code_name(int code); /* "NOT_FOUND", for MR_E(NOT_FOUND) */
const char *mr_code_text(int code);

/* ---- views ---- */

struct mr_slice {
    const void *data; /* borrowed; may be NULL when size is 0 */
    size_t size;
};
#define MR_SLICE(literal) ((struct mr_slice){ (literal), sizeof(literal) - 1 })
static inline struct mr_slice
mr_slice(const void *data, size_t size)
{
    return (struct mr_slice){ data, size };
}
struct mr_slice mr_slice_text(const char *nul_terminated);
bool mr_slice_is(struct mr_slice a, struct mr_slice b);
bool mr_slice_is_text(struct mr_slice a, const char *nul_terminated);

/* ---- growing buffer, born with a maximum ---- */

/* Always NUL-terminated behind size, so data can be handed to C libraries. After a put that would
 * pass the maximum the buffer keeps what it had, failed is true and every later put is ignored:
 * check once at the end. */
struct mr_buf {
    char *data; /* NULL until the first put */
    size_t size;
    size_t capacity;
    size_t max; /* bytes */
    bool failed;
};
void mr_buf_init(struct mr_buf *buf, size_t max_bytes);
void mr_buf_fini(struct mr_buf *buf);                  /* also for MR_CLEANUP */
void mr_buf_reset(struct mr_buf *buf);                 /* size 0, keeps the memory */
void *mr_buf_extend(struct mr_buf *buf, size_t bytes); /* room at the end, counted; NULL: failed */
void mr_buf_put(struct mr_buf *buf, const void *data, size_t bytes);
void mr_buf_text(struct mr_buf *buf, const char *nul_terminated);
void mr_buf_printf(struct mr_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void mr_buf_json(struct mr_buf *buf, struct mr_slice utf8); /* a JSON string with its quotes */
struct mr_slice mr_buf_slice(const struct mr_buf *buf);

/* ---- arena: allocations that live until the next reset ---- */

struct mr_arena {
    struct mr_arena_block *first, *current;
    size_t used; /* bytes handed out since the last reset */
};
void mr_arena_init(struct mr_arena *arena);
void mr_arena_fini(struct mr_arena *arena);                 /* also for MR_CLEANUP */
void mr_arena_reset(struct mr_arena *arena);                /* keeps the blocks */
void *mr_arena_alloc(struct mr_arena *arena, size_t bytes); /* 16-byte aligned, not zeroed */
void *mr_arena_copy(struct mr_arena *arena, const void *data, size_t bytes); /* + a NUL behind */
/* For protobuf-c: allocates from the arena, free does nothing. */
struct ProtobufCAllocator;
void mr_arena_protobuf(struct mr_arena *arena, struct ProtobufCAllocator *ret_allocator);

/* ---- encodings, identity ---- */

enum { MR_UUID_TEXT = 36, MR_UUID_BYTES = 16 };
void mr_random(void *bytes, size_t count);                    /* from the kernel */
void mr_uuid_text(char ret_text[MR_UUID_TEXT + 1]);           /* a new random UUID (version 4) */
void mr_hex(const void *bytes, size_t count, char *ret_text); /* 2 * count + NUL, lower case */
/* XXH64 of bytes (xxHash specification 0.1.1): hashes for tables and windows, not for secrets. */
uint64_t mr_hash64(const void *bytes, size_t count, uint64_t seed);
/* Kafka's murmur2 (org.apache.kafka.common.utils.Utils), sign bit cleared: key -> partition is
 * mr_murmur2(key) % partitions, equal to Java's default partitioner. */
uint32_t mr_murmur2(const void *bytes, size_t count);
bool mr_utf8_valid(struct mr_slice text);
/* Standard base64 alphabet, padding needed. Returns decoded bytes or a negative MR_E(INVALID). */
int64_t mr_base64_decode(struct mr_slice text, void *ret_bytes /* 3/4 of the text + 3 */);
void mr_base64_encode(struct mr_slice bytes, struct mr_buf *ret_text);

#endif
