/*
 * reply: answers with a JSON body, and refusals in the words of each dialect.
 */
#ifndef MR_REPLY_H
#define MR_REPLY_H

#include "base/base.h"
#include "http/http.h"
#include "metrics/metrics.h"

struct event;
struct post;

/* Holds a receipt for each event of the largest post, all failed and with everything escaped. */
enum { REPLY_JSON_BYTES_MAX = 64 << 20 };

enum dialect_name { DIALECT_NAME_REST, DIALECT_NAME_KINESIS, DIALECT_NAME_EVENTS, DIALECT_NAMES };
extern const char *const dialect_names[DIALECT_NAMES]; /* in metrics and the access log */

/* X(name, status, REST error code, Kinesis status, Kinesis type) */
#define FAULTS(X)                                                                                  \
    X(JSON, 400, 400, 400, "SerializationException")                                               \
    X(ATTRIBUTE, 400, 400, 400, "ValidationException")                                             \
    X(ENVELOPE, 422, 422, 400, "ValidationException")                                              \
    X(MEDIA, 415, 415, 415, "SerializationException")                                              \
    X(CONTRACT, 422, 422, 400, "InvalidArgumentException")                                         \
    X(CONVERSION, 422, 42203, 400, "ValidationException")                                          \
    X(ACCEPT, 406, 406, 406, "SerializationException")                                             \
    X(TOPIC, 404, 40401, 400, "ResourceNotFoundException")                                         \
    X(PARTITION, 404, 40402, 400, "ResourceNotFoundException")                                     \
    X(INSTANCE, 404, 40403, 400, "ResourceNotFoundException")                                      \
    X(FORMAT, 406, 40601, 406, "SerializationException")                                           \
    X(INSTANCE_EXISTS, 409, 40902, 400, "ResourceInUseException")                                  \
    X(STATE, 409, 40903, 400, "ResourceInUseException")                                            \
    X(CONFIG, 422, 42204, 400, "ValidationException")                                              \
    X(INSTANCES, 429, 42901, 400, "LimitExceededException")                                        \
    X(DENIED, 403, 40301, 400, "AccessDeniedException")                                            \
    X(CONFLICT, 409, 409, 400, "ResourceInUseException")                                           \
    X(REUSED, 409, 409, 409, "InvalidArgumentException")                                           \
    X(ROUTE, 404, 404, 404, "UnknownOperationException")                                           \
    X(METHOD, 405, 405, 405, "UnknownOperationException")                                          \
    X(TOO_MANY, 413, 413, 413, "ValidationException")                                              \
    X(NO_QUERY, 501, 501, 501, "InternalFailure")                                                  \
    X(KAFKA, 500, 50002, 500, "InternalFailure")                                                   \
    X(ARGUMENT, 400, 400, 400, "InvalidArgumentException")                                         \
    X(EXPIRED, 410, 410, 400, "ExpiredIteratorException")                                          \
    X(EXPIRED_TOKEN, 410, 410, 400, "ExpiredNextTokenException")                                   \
    X(LIMIT, 422, 422, 400, "LimitExceededException")                                              \
    X(BUSY, 503, 50003, 503, "ServiceUnavailableException")                                        \
    X(DOWN, 503, 50003, 503, "ServiceUnavailableException")

enum fault {
#define X(name, ...) FAULT_##name,
    FAULTS(X)
#undef X
        FAULT_COUNT
};

struct replies; /* counts them */

struct dialect {
    enum dialect_name name;
    int wire;                 /* Millrace__V1__Dialect */
    const char *content_type; /* of its answers */
    void (*answer)(struct post *post);
    /* Refusals of another shape than JSON as reply_fault writes it; or NULL. */
    void (*refuse)(struct replies *replies, struct mr_http_request *request, enum fault fault,
                   const char *text);
    /* Which partition an event without one goes to; NULL: as its key has it in Kafka. */
    int32_t (*place)(const struct event *event);
};

struct replies *replies_open(struct mr_metrics *metrics);
void replies_close(struct replies *replies);

/* Any reply, counted. */
void reply_send(struct replies *replies, struct mr_http_request *request,
                const struct dialect *dialect, const struct mr_http_reply *reply);
/* Of a stream: 200, the answers follow. */
void reply_begin(struct replies *replies, struct mr_http_request *request,
                 const struct dialect *dialect);
/* Body as it is; a 503 carries Retry-After. */
void reply_json(struct replies *replies, struct mr_http_request *request,
                const struct dialect *dialect, int status, struct mr_slice body);
/* A 200 of another type than the dialect's, which depends on Accept. */
void reply_page(struct replies *replies, struct mr_http_request *request,
                const struct dialect *dialect, const char *content_type, struct mr_slice body);
void reply_fault(struct replies *replies, struct mr_http_request *request,
                 const struct dialect *dialect, enum fault fault, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* With an error code of the REST proxy's own, whose first three digits are the status. */
void reply_fault_code(struct replies *replies, struct mr_http_request *request,
                      const struct dialect *dialect, enum fault fault, int code, const char *text);
/* What Kinesis calls it, and its status there. */
const char *reply_kinesis_type(enum fault fault, int *ret_status);
/* The same with more members behind the message: "" or ,"name":value as they are. */
void reply_fault_more(struct replies *replies, struct mr_http_request *request,
                      const struct dialect *dialect, enum fault fault, const char *text,
                      struct mr_slice members);
/* For text that quotes a client, or was cut inside a character: what is no UTF-8 becomes '?'. */
void reply_clean(char *text);
/* The REST error code of an event that was not stored. */
int reply_event_code(int code, bool is_retriable);

/* For lists of receipts, where printf would cost more than the record. */
void reply_put_number(struct mr_buf *buf, int64_t number);

extern const struct mr_metric gateway_metrics[];
extern const size_t gateway_metrics_count;

#endif
