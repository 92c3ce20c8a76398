/*
 * rest_v3: what the files of the REST Proxy v3 dialect share. rest_v3.c: paths, questions, faults,
 * the cluster and its brokers; rest_v3_page.c: how answers are written; rest_v3_topics.c,
 * rest_v3_create.c and rest_v3_parts.c: topics; rest_v3_records.c and rest_v3_parse.c: posts.
 *
 * Whatever must ask the broker is a question: an errand with a copy of the call and memory for what
 * comes back.
 *
 *   struct v3_question *question = v3_question(call);
 *   question->topic = ...;
 *   v3_ask(question, ask_something, tell_something);
 */
#ifndef MR_REST_V3_H
#define MR_REST_V3_H

#include "gateway/dialects.h"

enum {
    V3_ASK_MS = 5000,
    V3_NUMBER_MAX = 100000000, /* of partitions and brokers */
    V3_TOPIC = 4, /* the segment with the topic's name, of /v3/clusters/{c}/topics/{t} */
};

struct v3_creation; /* rest_v3_create.c */

struct v3_question {
    struct errand errand; /* first */
    struct call call;     /* its path lives as long as the request */
    struct mr_arena arena;
    const char *cluster; /* the cluster's id, known when it is told */
    int (*ask)(struct v3_question *question, struct mr_err *err); /* on the errands' thread */
    void (*tell)(struct v3_question *question);                   /* on the door's; replies */
    const char *topic;                 /* in: in the request's memory; NULL: none */
    struct v3_creation *creation;      /* in */
    struct mr_description description; /* out, as the question goes */
    struct mr_topic *topics;
    const struct mr_setting *settings;
    size_t count; /* of topics or settings */
};

struct v3_question *v3_question(const struct call *call);
/* About the topic that the path names; NULL after a refusal: nothing that may be seen. */
struct v3_question *v3_topic_question(const struct call *call);
/* ask may be NULL: only the cluster's id is wanted. A broker that does not answer, or another
 * cluster in the path, is answered here. */
void v3_ask(struct v3_question *question,
            int (*ask)(struct v3_question *question, struct mr_err *err),
            void (*tell)(struct v3_question *question));
/* Asks for the brokers and, unless question->topic is NULL, for its partitions. */
int v3_describe(struct v3_question *question, struct mr_err *err);

/* {"error_code":..,"message":..}; the first three digits of the code are the status. */
void v3_refuse(const struct call *call, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void v3_fail(const struct call *call, const struct mr_err *err);
/* True when the principal may know of the topic (NULL: of the cluster). */
bool v3_may_see(const struct call *call, const char *topic);
/* False after a refusal: no name for a topic of clients. */
bool v3_check_name(const struct call *call, const char *topic);
/* False after a refusal: the body is not JSON by its Content-Type. */
bool v3_check_media(const struct call *call);
/* Path segment i as text in the request's memory. */
const char *v3_segment(const struct call *call, size_t i);
/* A number in digits, or -1; what passes V3_NUMBER_MAX is just some number beyond it. */
int64_t v3_number(struct mr_slice text);

/* ---- rest_v3_page.c ---- */

enum { V3_PATH_BYTES = 768 };

struct v3_page {
    struct mr_buf body;
    const char *root;    /* "http://host/stage/v3/clusters", escaped for JSON */
    const char *cluster; /* escaped too */
};
void v3_page_init(struct v3_page *page, const struct call *call, const char *cluster);
/* {"kind":..,"metadata":{"self":..,"resource_name":..},"cluster_id":..  Paths are relative to the
 * cluster: "/topics/t" and "/topic=t". */
void v3_put_resource(struct v3_page *page, const char *kind, const char *path, const char *name);
/* ,"name":{"related":..} */
void v3_put_link(struct v3_page *page, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* {"kind":..,"metadata":{"self":..,"next":null},"data":[ .. ]}; path NULL: the clusters' own. */
void v3_begin_list(struct v3_page *page, const char *kind, const char *path);
void v3_end_list(struct v3_page *page);
/* Sends the page, which is over then. headers: complete lines or NULL. */
void v3_send(struct v3_page *page, const struct call *call, int status, const char *headers);

/* ---- rest_v3_parse.c ---- */

enum { V3_ENTRIES_MAX = 10, V3_ID_MAX = 80 };

/* One record as it was posted, and what became of it. Slices point into the body or, decoded, into
 * the request's memory. */
struct v3_record {
    int code;                   /* 0: good so far; else why it is not stored, and text says it */
    const char *text;           /* in the request's memory or for ever */
    struct mr_slice key, value; /* data NULL: no key; a tombstone */
    const char *key_type, *value_type; /* "JSON" ..; NULL: none was sent */
    int32_t partition;                 /* wished; -1: any */
    struct mr_slice id;                /* of an entry of a batch; data NULL: no good one */
    size_t event;                      /* its place in the post, when it came that far */
};

/* Reads one JSON object. Whatever is wrong with it stands in the record. */
void v3_parse_record(struct mr_slice json, bool is_entry, struct mr_arena *arena,
                     struct v3_record *ret);

/* ---- rest_v3_records.c ---- */

/* The records of a post, those too that never became events: they are answered in their places. */
struct v3_receipts {
    const char *cluster, *topic;
    struct v3_record *records;
    size_t count, room;
    bool is_batch;
    struct v3_stream *stream; /* whose part it is; NULL: of none */
};

/* post->state is a struct v3_receipts. */
void v3_take_record(struct post *post, struct mr_slice json);
/* A record that was not even read. */
void v3_take_fault(struct post *post, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The answers, one behind the other, each with a line break behind it. */
void v3_put_receipts(struct mr_buf *body, const struct post *post);
/* The HTTP status of the answer to a post of one record. */
int v3_status(const struct v3_record *record);

/* ---- rest_v3_stream.c ---- */

void v3_stream_begin(const struct call *call, const char *cluster);
void v3_stream_answered(struct v3_stream *stream);

/* ---- what each path does ---- */

void v3_list_topics(const struct call *call);
void v3_get_topic(const struct call *call);
void v3_put_topic(struct v3_page *page, const char *name, size_t partitions, size_t replicas);
void v3_delete_topic(const struct call *call);
void v3_create_topic(const struct call *call);
void v3_configs(const struct call *call);
void v3_partitions(const struct call *call);
void v3_replicas(const struct call *call);
void v3_records(const struct call *call);
void v3_answer(struct post *post);

#endif
