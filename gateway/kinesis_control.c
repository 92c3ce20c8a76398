/*
 * What an API gateway passes on about streams, as the operations that it stands for: GET /streams,
 * and GET, POST and DELETE of /streams/{name}. Fields come from path, query and body.
 */
#include "gateway/kinesis_native.h"

#include <stdlib.h>

struct fields {
    struct doc_room room;
    struct doc map, *last;
};

static struct doc *
add(struct fields *fields, const char *name, enum doc_type type)
{
    struct doc *doc = doc_add(&fields->room, &fields->map, &fields->last);
    MR_ASSERT(doc != NULL);
    doc->name = mr_slice_text(name);
    doc->type = type;
    return doc;
}

static void
add_texts(struct fields *fields, struct mr_http_request *request, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        struct mr_slice value = mr_http_param(request, names[i]);
        if (value.size > 0)
            add(fields, names[i], DOC_TEXT)->text = value;
    }
}

static void
add_limit(struct fields *fields, struct mr_http_request *request)
{
    struct mr_slice value = mr_http_param(request, "Limit");
    if (value.size > 0)
        add(fields, "Limit", DOC_NUMBER)->number = strtod(value.data, NULL);
}

static struct fields
fields_of(const struct call *call)
{
    return (struct fields){ .room.arena = mr_http_arena(call->request), .map.type = DOC_MAP };
}

void
kinesis_list(const struct call *call)
{
    static const char *const names[] = { "ExclusiveStartStreamName", "NextToken", NULL };
    struct fields fields = fields_of(call);
    add_texts(&fields, call->request, names);
    add_limit(&fields, call->request);
    native_ask(call, &kinesis, "ListStreams", &fields.map);
}

void
kinesis_describe(const struct call *call, struct mr_slice stream)
{
    static const char *const names[] = { "ExclusiveStartShardId", NULL };
    struct fields fields = fields_of(call);
    add_texts(&fields, call->request, names);
    add_limit(&fields, call->request);
    add(&fields, "StreamName", DOC_TEXT)->text = stream;
    native_ask(call, &kinesis, "DescribeStream", &fields.map);
}

/* POST /streams/{name}, with {"ShardCount":n} or nothing. */
void
kinesis_create(const struct call *call, struct mr_slice stream)
{
    const struct back back = { call->gateway->replies, call->request, &kinesis };
    struct mr_slice body = mr_http_body(call->request);
    struct fields fields = fields_of(call);
    const struct doc *given = NULL;
    struct mr_err err = { 0 };
    if (body.size > 0 && doc_from_json(body, mr_http_arena(call->request), &given, &err) != 0) {
        back_fail(&back, FAULT_JSON, "%s", err.text);
        return;
    }
    if (given != NULL && (doc_get(given, "Data") != NULL || doc_get(given, "Records") != NULL ||
                          doc_get(given, "records") != NULL)) {
        back_fail(&back, FAULT_ROUTE, "this makes a stream; PUT records to /streams/<name>/record");
        return;
    }
    const struct doc *shards = given != NULL ? doc_get(given, "ShardCount") : NULL;
    if (shards != NULL) {
        struct doc *copy = add(&fields, "ShardCount", shards->type);
        copy->number = shards->number;
        copy->text = shards->text;
    }
    add(&fields, "StreamName", DOC_TEXT)->text = stream;
    native_ask(call, &kinesis, "CreateStream", &fields.map);
}

void
kinesis_delete(const struct call *call, struct mr_slice stream)
{
    struct fields fields = fields_of(call);
    add(&fields, "StreamName", DOC_TEXT)->text = stream;
    native_ask(call, &kinesis, "DeleteStream", &fields.map);
}
