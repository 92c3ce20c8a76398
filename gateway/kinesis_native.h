/*
 * kinesis_native: Kinesis as its SDKs speak it: POST / with X-Amz-Target, in JSON or CBOR. What the
 * API gateway's form asks about streams goes the same way, with its fields from path and query.
 *
 * An operation reads its fields with ask_*, which note what is wrong with each, and then asks
 * ask_ok once; a false is an answer already given:
 *
 *   struct mr_slice name = ask_stream(ask, true);
 *   struct mr_slice shard = ask_text(ask, "ShardId", &rule);
 *   if (!ask_ok(ask) || !find_stream(ask, name, RIGHT_CONSUME, &stream))
 *       return;
 *
 * Threads: the door's.
 */
#ifndef MR_KINESIS_NATIVE_H
#define MR_KINESIS_NATIVE_H

#include "base/base.h"
#include "gateway/dialects.h"
#include "gateway/kinesis_doc.h"
#include "gateway/kinesis_form.h"

#define KINESIS_ACCOUNT "000000000000"

enum {
    NATIVE_RECORDS_MAX = 500,
    NATIVE_RECORD_BYTES_MAX = 1 << 20,
    NATIVE_BYTES_MAX = 5 << 20, /* of all records with their keys */
    NATIVE_KEY_MAX = 256,       /* characters */
    NATIVE_LIMIT_MAX = 10000,
    NATIVE_STREAM_MAX = 128, /* characters */
    NATIVE_MISMATCH_BYTES = 512,
    TOKEN_MS_MAX = 300000, /* how long iterators and tokens are good */
};

/* Where an answer goes; good until it has been given. */
struct back {
    struct replies *replies;
    struct mr_http_request *request;
    const struct dialect *dialect;
};
void back_form(const struct back *back, struct form *ret);  /* in the coding of the request */
void back_send(const struct back *back, struct form *form); /* takes what the form holds */
void back_send_empty(const struct back *back);
void back_fail(const struct back *back, enum fault fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What an errand or a fetch could not do. */
void back_fail_with(const struct back *back, const struct mr_err *err);

struct ask {
    const struct call *call;
    struct back back;
    const char *operation;
    const struct doc *map;    /* whose fields are read: the body, or a record in it */
    char place[48];           /* of the map: "" or "records.3.member." */
    struct mr_buf violations; /* "; " between them */
    size_t violations_count;
    char mismatch[NATIVE_MISMATCH_BYTES]; /* a field of the wrong type; "": none */
};

/* What a text has to be. */
enum pattern { PATTERN_ANY, PATTERN_NAME, PATTERN_HASH_KEY, PATTERN_SEQUENCE };
struct rule {
    bool is_required;
    size_t most; /* characters; the least is one */
    enum pattern pattern;
};
struct mr_slice ask_text(struct ask *ask, const char *name, const struct rule *rule);
/* From least to most; none when it is not there. */
int64_t ask_int(struct ask *ask, const char *name, int64_t least, int64_t most, int64_t none);
/* Milliseconds since 1970; -1: none. */
int64_t ask_time(struct ask *ask, const char *name);
/* The place of the field's text in words (which end with NULL); -1: none, or not one of them. */
int ask_word(struct ask *ask, const char *name, bool is_required, const char *const *words);
/* Base64 in JSON, bytes in CBOR; data NULL: none. */
struct mr_slice ask_bytes(struct ask *ask, const char *name, size_t most);
/* The name that StreamName or StreamARN give; data NULL: none. */
struct mr_slice ask_stream(struct ask *ask, bool is_required);
/* Notes `Value 'value' at 'place.name' failed to satisfy constraint: Member must ..`. */
void ask_violate(struct ask *ask, const char *name, struct mr_slice value, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void ask_mismatch(struct ask *ask, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool ask_ok(struct ask *ask);

struct stream {
    struct mr_slice name; /* as the client calls it, in the request's memory */
    char topic[MR_TOPIC_MAX + 1];
    int shards;
};
/* The stream of that name, when it exists and the caller has one of the rights there. */
bool find_stream(const struct ask *ask, struct mr_slice name, unsigned rights, struct stream *ret);
void put_arn(struct form *form, struct mr_slice stream);
/* False, and answered, when the caller has none of the rights on the topic. */
bool check_rights(const struct ask *ask, unsigned rights, const char *topic);

/* A token is text for the client to hand back: a letter, when it was made, and what it is about.
 * token_read: false when it is none of ours. */
struct mr_slice token_write(struct mr_arena *arena, char letter, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool token_read(struct mr_arena *arena, char letter, struct mr_slice token, const char **ret_text,
                int64_t *ret_made_ms);

/* One operation on fields that are not from a body; for the API gateway's form. */
void native_ask(const struct call *call, const struct dialect *dialect, const char *operation,
                const struct doc *fields);

/* kinesis_put.c */
void native_put_record(struct ask *ask);
void native_put_records(struct ask *ask);
/* kinesis_streams.c */
void native_list_streams(struct ask *ask);
void native_describe(struct ask *ask);
void native_summarize(struct ask *ask);
void native_list_shards(struct ask *ask);
void native_list_tags(struct ask *ask);
/* kinesis_manage.c */
void native_create(struct ask *ask);
void native_delete(struct ask *ask);
/* kinesis_read.c */
void native_get_iterator(struct ask *ask);
void native_get_records(struct ask *ask);

#endif
