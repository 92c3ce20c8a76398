/*
 * Kafka REST Proxy v2: from path and Accept to the function that answers. The dialect stands here
 * once for each media type that an answer may have.
 */
#include "gateway/rest_v2.h"

#include <millrace/v1/event.pb-c.h>

enum { PARTITION_MAX = 1000000, QUOTED_MAX = 100 };

#define DIALECT(type)                                                                              \
    {                                                                                              \
        .name = DIALECT_NAME_REST, .wire = MILLRACE__V1__DIALECT__DIALECT_REST,                    \
        .content_type = (type), .answer = rest_v2_receipts                                         \
    }
#define TYPE "application/vnd.kafka.v2+json"

const struct dialect rest_v2 = DIALECT(TYPE);

/* In the order of preference. */
static const struct dialect variants[] = {
    DIALECT(TYPE),
    DIALECT("application/vnd.kafka+json"),
    DIALECT("application/json"),
    DIALECT("application/vnd.kafka.json.v2+json"),
    DIALECT("application/vnd.kafka.binary.v2+json"),
};

static void
refuse_accept(const struct call *call, enum fault fault, const char *fix)
{
    struct mr_slice accept = mr_http_header(call->request, "accept");
    reply_fault(
        call->gateway->replies, call->request, &rest_v2, fault, "Accept %.*s is not offered%s",
        (int)(accept.size < QUOTED_MAX ? accept.size : QUOTED_MAX), (const char *)accept.data, fix);
}

const struct dialect *
rest_v2_negotiate(const struct call *call)
{
    const char *types[MR_COUNT(variants)];
    struct mr_slice accept = mr_http_header(call->request, "accept");
    for (size_t i = 0; i < MR_COUNT(variants); i++)
        types[i] = variants[i].content_type;
    int picked = media_pick(accept, types, MR_COUNT(types));
    if (picked >= 0)
        return &variants[picked];
    refuse_accept(call, FAULT_ACCEPT, "; ask for " TYPE);
    return NULL;
}

const struct dialect *
rest_v2_negotiate_records(const struct call *call, bool is_json)
{
    static const size_t json[] = { 3, 0, 1, 2 }, binary[] = { 4, 0, 1, 2 };
    static const char *const embedded[] = {
        "application/vnd.kafka.json.v2+json",     "application/vnd.kafka.binary.v2+json",
        "application/vnd.kafka.avro.v2+json",     "application/vnd.kafka.jsonschema.v2+json",
        "application/vnd.kafka.protobuf.v2+json",
    };
    const size_t *order = is_json ? json : binary;
    const char *types[MR_COUNT(json)];
    struct mr_slice accept = mr_http_header(call->request, "accept");
    for (size_t i = 0; i < MR_COUNT(types); i++)
        types[i] = variants[order[i]].content_type;
    int picked = media_pick(accept, types, MR_COUNT(types));
    if (picked >= 0)
        return &variants[order[picked]];
    if (media_pick(accept, embedded, MR_COUNT(embedded)) >= 0)
        refuse_accept(call, FAULT_FORMAT,
                      is_json ? ": this consumer was made with format json; ask for "
                                "application/vnd.kafka.json.v2+json"
                              : ": this consumer was made with format binary; ask for "
                                "application/vnd.kafka.binary.v2+json");
    else
        refuse_accept(call, FAULT_ACCEPT,
                      is_json ? "; ask for application/vnd.kafka.json.v2+json"
                              : "; ask for application/vnd.kafka.binary.v2+json");
    return NULL;
}

bool
rest_v2_partition(struct mr_slice digits, int32_t *ret)
{
    const char *text = digits.data;
    int32_t number = 0;
    for (size_t i = 0; i < digits.size; i++) {
        if (text[i] < '0' || text[i] > '9' || number > PARTITION_MAX)
            return false;
        number = number * 10 + (text[i] - '0');
    }
    *ret = number;
    return digits.size > 0;
}

void
rest_v2_no_partition(const struct call *call, const struct dialect *as, struct mr_slice text)
{
    reply_fault(call->gateway->replies, call->request, as, FAULT_PARTITION,
                "Partition %.*s not found: it is not a number",
                (int)(text.size < QUOTED_MAX ? text.size : QUOTED_MAX), (const char *)text.data);
}

enum fault
rest_v2_fault(const struct mr_err *err)
{
    switch (err->code) {
    case MR_E(NOT_FOUND):
        return FAULT_PARTITION;
    case MR_E(DENIED):
        return FAULT_DENIED;
    default:
        return err->remedy == MR_RETRY ? FAULT_DOWN : FAULT_KAFKA;
    }
}

static void
route_post(const struct call *call, const struct dialect *as)
{
    const struct path *path = &call->path;
    struct replies *replies = call->gateway->replies;
    bool is_partition = path->count == 4 && call_segment_is(call, 2, "partitions");
    int32_t partition = -1;
    if (path->count == 1)
        reply_fault(replies, call->request, as, FAULT_ROUTE,
                    "the topic is missing from the path; POST to /topics/<tenant>.<kind>");
    else if (path->count != 2 && !is_partition)
        reply_fault(replies, call->request, as, FAULT_ROUTE,
                    "nothing can be posted to this path; POST to /topics/<tenant>.<kind>");
    else if (is_partition && !rest_v2_partition(path->segments[3], &partition))
        rest_v2_no_partition(call, as, path->segments[3]);
    else
        rest_v2_produce(call, as, partition);
}

void
rest_v2_route(const struct call *call)
{
    const struct dialect *as = rest_v2_negotiate(call);
    if (as == NULL)
        return;
    if (call->is_post && call_segment_is(call, 0, "topics"))
        route_post(call, as);
    else if (call->is_get)
        rest_v2_topics(call, as);
    else
        call_no_method(call, as);
}
