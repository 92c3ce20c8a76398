#include "gateway/kinesis_native.h"

#include "clock/clock.h"

#include <millrace/v1/event.pb-c.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define API       "Kinesis_20131202."
#define JSON_TYPE "application/x-amz-json-1.1"
#define CBOR_TYPE "application/x-amz-cbor-1.1"

enum {
    TEXT_BYTES = 1024,
    VIOLATIONS_BYTES_MAX = 8192,
    HEADERS_BYTES = 256,
    TOKEN_BYTES_MAX = 1024
};

static const struct {
    const char *name;
    void (*run)(struct ask *ask);
} operations[] = {
    { "PutRecord", native_put_record },        { "PutRecords", native_put_records },
    { "GetRecords", native_get_records },      { "GetShardIterator", native_get_iterator },
    { "ListShards", native_list_shards },      { "ListStreams", native_list_streams },
    { "DescribeStream", native_describe },     { "DescribeStreamSummary", native_summarize },
    { "CreateStream", native_create },         { "DeleteStream", native_delete },
    { "ListTagsForStream", native_list_tags },
};

/* ---- answers ---- */

static bool
is_media(struct mr_http_request *request, const char *type)
{
    struct mr_slice header = mr_http_header(request, "content-type");
    const char *end = header.size > 0 ? memchr(header.data, ';', header.size) : NULL;
    if (end != NULL)
        header.size = (size_t)(end - (const char *)header.data);
    return header.size == strlen(type) && strncasecmp(header.data, type, header.size) == 0;
}

void
back_form(const struct back *back, struct form *ret)
{
    bool is_native = back->dialect == &kinesis_native;
    form_init(ret, is_native && is_media(back->request, CBOR_TYPE));
}

static void
send(const struct back *back, int status, const char *more_headers, struct form *form)
{
    char id[MR_UUID_TEXT + 1], headers[HEADERS_BYTES];
    mr_uuid_text(id);
    (void)snprintf(headers, sizeof(headers), "x-amzn-RequestId: %s\r\n%s", id, more_headers);
    MR_ASSERT(!form->body.failed);
    const char *type = form->is_cbor                      ? CBOR_TYPE
                       : back->dialect == &kinesis_native ? JSON_TYPE
                                                          : back->dialect->content_type;
    reply_send(back->replies, back->request, back->dialect,
               &(struct mr_http_reply){ .status = status,
                                        .content_type = type,
                                        .headers = headers,
                                        .body = mr_buf_slice(&form->body) });
    form_fini(form);
}

void
back_send(const struct back *back, struct form *form)
{
    send(back, 200, "", form);
}

void
back_send_empty(const struct back *back)
{
    struct form form;
    back_form(back, &form);
    send(back, 200, "", &form);
}

/* As the service has it: what the client can mend is 400, and too much at once is its own type. */
static void
refuse(struct replies *replies, struct mr_http_request *request, enum fault fault, const char *text)
{
    const struct back back = { replies, request, &kinesis_native };
    char headers[HEADERS_BYTES / 2];
    struct form form;
    int status;
    const char *type = reply_kinesis_type(fault, &status);
    if (fault == FAULT_BUSY) {
        type = "ProvisionedThroughputExceededException";
        status = 400;
    } else if (fault == FAULT_DOWN) {
        type = "ServiceUnavailable";
    } else if (status < 500) {
        status = 400;
    }
    (void)snprintf(headers, sizeof(headers), "x-amzn-ErrorType: %s\r\n%s", type,
                   fault == FAULT_BUSY || fault == FAULT_DOWN ? "Retry-After: 1\r\n" : "");
    back_form(&back, &form);
    form_open(&form, NULL, '{');
    form_text(&form, "__type", mr_slice_text(type));
    form_text(&form, "message", mr_slice_text(text));
    form_close(&form, '}');
    send(&back, status, headers, &form);
}

void
back_fail(const struct back *back, enum fault fault, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    reply_fault(back->replies, back->request, back->dialect, fault, "%s", text);
}

void
back_fail_with(const struct back *back, const struct mr_err *err)
{
    enum fault fault = err->remedy == MR_RETRY          ? FAULT_DOWN
                       : err->code == MR_E(NOT_FOUND)   ? FAULT_TOPIC
                       : err->code == MR_E(DENIED)      ? FAULT_DENIED
                       : err->code == MR_E(CONFLICT)    ? FAULT_CONFLICT
                       : err->code == MR_E(EXISTS)      ? FAULT_CONFLICT
                       : err->code == MR_E(UNAVAILABLE) ? FAULT_DOWN
                       : err->code == MR_E(TIMEOUT)     ? FAULT_DOWN
                                                        : FAULT_KAFKA;
    back_fail(back, fault, "%s", err->text);
}

/* ---- tokens ---- */

struct mr_slice
token_write(struct mr_arena *arena, char letter, const char *format, ...)
{
    char text[TOKEN_BYTES_MAX];
    va_list arguments;
    struct mr_buf coded;
    int size = snprintf(text, sizeof(text), "%c %lld ", letter, (long long)mr_wall_ms());
    va_start(arguments, format);
    size += vsnprintf(text + size, sizeof(text) - (size_t)size, format, arguments);
    va_end(arguments);
    MR_ASSERT(size < TOKEN_BYTES_MAX);
    mr_buf_init(&coded, TOKEN_BYTES_MAX * 2);
    mr_base64_encode(mr_slice(text, (size_t)size), &coded);
    struct mr_slice token = mr_slice(mr_arena_copy(arena, coded.data, coded.size), coded.size);
    mr_buf_fini(&coded);
    return token;
}

bool
token_read(struct mr_arena *arena, char letter, struct mr_slice token, const char **ret_text,
           int64_t *ret_made_ms)
{
    if (token.size > TOKEN_BYTES_MAX)
        return false;
    char *text = mr_arena_alloc(arena, token.size / 4 * 3 + 4), *end;
    int64_t size = mr_base64_decode(token, text);
    if (size < 2 || text[0] != letter || text[1] != ' ' || memchr(text, '\0', (size_t)size) != NULL)
        return false;
    text[size] = '\0';
    *ret_made_ms = strtoll(text + 2, &end, 10);
    *ret_text = end + 1;
    return *end == ' ' && *ret_made_ms > 0;
}

/* ---- streams ---- */

void
put_arn(struct form *form, struct mr_slice stream)
{
    char arn[TEXT_BYTES];
    (void)snprintf(arn, sizeof(arn), "arn:aws:kinesis:us-east-1:%s:stream/%.*s", KINESIS_ACCOUNT,
                   (int)stream.size, (const char *)stream.data);
    form_text(form, "StreamARN", mr_slice_text(arn));
}

bool
check_rights(const struct ask *ask, unsigned rights, const char *topic)
{
    for (unsigned right = 1; right <= rights; right <<= 1)
        if ((rights & right) != 0 && guard_may(ask->call->who, (enum right)right, topic))
            return true;
    back_fail(&ask->back, FAULT_DENIED, "User: %s is not authorized to perform: kinesis:%s on %s",
              principal_name(ask->call->who), ask->operation, topic != NULL ? topic : "any stream");
    return false;
}

bool
find_stream(const struct ask *ask, struct mr_slice name, unsigned rights, struct stream *ret)
{
    const struct topics *topics = admit_topics(ask->call->gateway->admit);
    struct mr_topic_name parts;
    if (!mr_stream_parse(name, &parts)) {
        back_fail(&ask->back, FAULT_TOPIC,
                  "Stream %.*s under account " KINESIS_ACCOUNT
                  " not found; streams are named streaming-<tenant>-<kind>",
                  (int)name.size, (const char *)name.data);
        return false;
    }
    *ret = (struct stream){ .name = name };
    mr_topic_format(parts.tenant, parts.kind, MR_TOPIC_RAW, ret->topic);
    if (!check_rights(ask, rights, ret->topic))
        return false;
    const struct mr_topic *listed = topics_find(topics, ret->topic);
    if (listed != NULL) {
        ret->shards = listed->partitions;
        return true;
    }
    size_t count;
    if (topics_list(topics, &count) == NULL)
        back_fail(&ask->back, FAULT_DOWN, "Kafka has not answered yet; try again");
    else
        back_fail(&ask->back, FAULT_TOPIC,
                  "Stream %.*s under account " KINESIS_ACCOUNT " not found.", (int)name.size,
                  (const char *)name.data);
    return false;
}

/* ---- the way in ---- */

static void
refuse_operation(const struct back *back, struct mr_slice target)
{
    char names[TEXT_BYTES / 2];
    size_t size = 0;
    for (size_t i = 0; i < MR_COUNT(operations); i++)
        size += (size_t)snprintf(names + size, sizeof(names) - size, "%s%s", i > 0 ? ", " : "",
                                 operations[i].name);
    MR_ASSERT(size < sizeof(names));
    back_fail(back, FAULT_ROUTE,
              "X-Amz-Target %.*s is not offered here; offered are " API "<operation> with %s",
              (int)(target.size < 128 ? target.size : 128), (const char *)target.data, names);
}

static void
run(const struct call *call, const struct back *back, size_t operation, const struct doc *fields)
{
    struct ask ask = {
        .call = call, .back = *back, .operation = operations[operation].name, .map = fields
    };
    mr_buf_init(&ask.violations, VIOLATIONS_BYTES_MAX);
    operations[operation].run(&ask);
    mr_buf_fini(&ask.violations);
}

/* The place of the operation, or their count. */
static size_t
find_operation(struct mr_slice name)
{
    size_t i = 0;
    while (i < MR_COUNT(operations) && !mr_slice_is_text(name, operations[i].name))
        i++;
    return i;
}

void
native_ask(const struct call *call, const struct dialect *dialect, const char *operation,
           const struct doc *fields)
{
    const struct back back = { call->gateway->replies, call->request, dialect };
    size_t found = find_operation(mr_slice_text(operation));
    MR_ASSERT(found < MR_COUNT(operations));
    run(call, &back, found, fields);
}

/* The body as a tree; false: it is answered. */
static bool
read_body(const struct back *back, const struct doc **ret)
{
    struct mr_http_request *request = back->request;
    struct mr_slice body = mr_http_body(request);
    struct mr_slice type = mr_http_header(request, "content-type");
    struct mr_err err = { 0 };
    bool is_cbor = is_media(request, CBOR_TYPE);
    if (!is_cbor && type.size > 0 && !is_media(request, JSON_TYPE) &&
        !is_media(request, "application/json")) {
        back_fail(back, FAULT_MEDIA,
                  "Content-Type %.*s is not taken here; send " JSON_TYPE " or " CBOR_TYPE,
                  (int)(type.size < 128 ? type.size : 128), (const char *)type.data);
        return false;
    }
    int code = is_cbor ? doc_from_cbor(body, mr_http_arena(request), ret, &err)
                       : doc_from_json(body, mr_http_arena(request), ret, &err);
    if (body.size == 0)
        back_fail(back, FAULT_JSON, "the body is empty; an operation without fields has {}");
    else if (code != 0)
        back_fail(back, FAULT_JSON, "%s", err.text);
    else if ((*ret)->type != DOC_MAP)
        back_fail(back, FAULT_JSON, "the body is not an object");
    else
        return true;
    return false;
}

bool
kinesis_is_native(const struct call *call)
{
    return call->is_post && call->path.count <= 1 &&
           (mr_http_header(call->request, "x-amz-target").data != NULL ||
            is_media(call->request, JSON_TYPE) || is_media(call->request, CBOR_TYPE));
}

void
kinesis_native_route(const struct call *call)
{
    const struct back back = { call->gateway->replies, call->request, &kinesis_native };
    struct mr_slice target = mr_http_header(call->request, "x-amz-target"), name = target;
    size_t prefix = sizeof(API) - 1;
    const struct doc *body;
    if (target.size > prefix && memcmp(target.data, API, prefix) == 0)
        name = mr_slice((const char *)target.data + prefix, target.size - prefix);
    size_t operation = find_operation(name);
    if (name.size == target.size || operation == MR_COUNT(operations))
        refuse_operation(&back, target);
    else if (read_body(&back, &body))
        run(call, &back, operation, body);
}

const struct dialect kinesis_native = {
    .name = DIALECT_NAME_KINESIS,
    .wire = MILLRACE__V1__DIALECT__DIALECT_KINESIS,
    .content_type = JSON_TYPE,
    .answer = kinesis_put_answer,
    .refuse = refuse,
    .place = kinesis_place,
};
