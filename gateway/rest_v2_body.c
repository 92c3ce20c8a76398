#include "gateway/rest_v2_body.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT_MS_DEFAULT = 1000, TIMEOUT_MS_MAX = 300000, NAME_BYTES_MAX = 249 };

void
rest_v2_json_freep(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}

int
rest_v2_body(const struct call *call, const struct dialect *as, json_t **ret)
{
    struct replies *replies = call->gateway->replies;
    struct mr_slice body = mr_http_body(call->request);
    struct mr_slice type = mr_http_header(call->request, "content-type");
    json_error_t where;
    *ret = NULL;
    if (body.size == 0)
        return 0;
    if (media_format(type) == FORMAT_UNKNOWN) {
        reply_fault(replies, call->request, as, FAULT_MEDIA,
                    "Content-Type %.*s is not taken here; send application/vnd.kafka.v2+json",
                    (int)(type.size < 100 ? type.size : 100), (const char *)type.data);
        return -1;
    }
    if (body.size > BODY_BYTES_MAX) {
        reply_fault(replies, call->request, as, FAULT_TOO_MANY,
                    "the body has %zu bytes, more than %d", body.size, BODY_BYTES_MAX);
        return -1;
    }
    json_t *json = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, &where);
    if (json_is_object(json)) {
        *ret = json;
        return 0;
    }
    if (json == NULL)
        reply_fault(replies, call->request, as, FAULT_JSON, "the body is not JSON: %s at byte %d",
                    where.text, where.position);
    else
        reply_fault(replies, call->request, as, FAULT_ENVELOPE, "the body is not a JSON object");
    json_decref(json);
    return -1;
}

/* ---- what a consumer shall be ---- */

static int
refuse(struct mr_err *err, const char *field, const char *fix)
{
    return mr_fail(err, MR_E(INVALID), MR_REJECT, "Invalid consumer configuration: %s %s", field,
                   fix);
}

static int
take_format(const json_t *value, struct wish *wish, struct mr_err *err)
{
    static const char *const unknown[] = { "avro", "jsonschema", "protobuf" };
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    for (size_t i = 0; i < MR_COUNT(unknown); i++)
        if (strcmp(text, unknown[i]) == 0)
            return refuse(err, "format",
                          "needs a schema registry, which is not used here; use json or binary");
    wish->options.is_json = strcmp(text, "json") == 0;
    if (!wish->options.is_json && strcmp(text, "binary") != 0)
        return refuse(err, "format", "must be json or binary");
    return 0;
}

static int
take_reset(const json_t *value, struct wish *wish, struct mr_err *err)
{
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    wish->options.is_earliest = strcmp(text, "earliest") == 0;
    if (!wish->options.is_earliest && strcmp(text, "latest") != 0)
        return refuse(err, "auto.offset.reset", "must be earliest or latest");
    return 0;
}

static int
take_auto_commit(const json_t *value, struct wish *wish, struct mr_err *err)
{
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    wish->options.auto_commit = json_is_true(value) || strcmp(text, "true") == 0;
    if (!wish->options.auto_commit && !json_is_false(value) && strcmp(text, "false") != 0)
        return refuse(err, "auto.commit.enable", "must be true or false");
    return 0;
}

/* A number, or one in a string as the proxy's clients send it. */
static bool
number_of(const json_t *value, int64_t max, int64_t *ret)
{
    char *end = NULL;
    const char *text = json_string_value(value);
    int64_t number = text != NULL ? strtoll(text, &end, 10) : json_integer_value(value);
    if ((text != NULL && (*text == '\0' || *end != '\0')) ||
        (text == NULL && !json_is_integer(value)) || number < 0 || number > max)
        return false;
    *ret = number;
    return true;
}

static int
take_bytes_min(const json_t *value, struct wish *wish, struct mr_err *err)
{
    if (number_of(value, CONSUMER_BYTES_MAX, &wish->options.bytes_min))
        return 0;
    return refuse(err, "fetch.min.bytes", "must be a number from 0 to 4194304");
}

static int
take_timeout(const json_t *value, struct wish *wish, struct mr_err *err)
{
    int64_t number;
    if (!number_of(value, TIMEOUT_MS_MAX, &number))
        return refuse(err, "consumer.request.timeout.ms", "must be a number from 0 to 300000");
    wish->timeout_ms = (int)number;
    return 0;
}

static int
take_name(const json_t *value, struct wish *wish, struct mr_err *err)
{
    const char *text = json_string_value(value);
    if (text == NULL || *text == '\0' || strlen(text) > NAME_BYTES_MAX ||
        strchr(text, '/') != NULL || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
        return refuse(err, "name", "must be a text of 1 to 249 bytes without a slash");
    wish->name = text;
    return 0;
}

int
rest_v2_wish(const json_t *body, struct wish *ret, struct mr_err *err)
{
    static const struct {
        const char *field;
        int (*take)(const json_t *value, struct wish *wish, struct mr_err *err);
    } fields[] = {
        { "name", take_name },
        { "id", take_name },
        { "format", take_format },
        { "auto.offset.reset", take_reset },
        { "auto.commit.enable", take_auto_commit },
        { "fetch.min.bytes", take_bytes_min },
        { "consumer.request.timeout.ms", take_timeout },
    };
    const char *key;
    json_t *value;
    *ret = (struct wish){ .options = { .auto_commit = true }, .timeout_ms = TIMEOUT_MS_DEFAULT };
    json_object_foreach((json_t *)body, key, value)
    {
        size_t i = 0;
        while (i < MR_COUNT(fields) && strcmp(fields[i].field, key) != 0)
            i++;
        if (i == MR_COUNT(fields))
            return mr_fail(err, MR_E(UNSUPPORTED), MR_REJECT,
                           "Unrecognized field: %.100s; known are name, format, "
                           "auto.offset.reset, auto.commit.enable, fetch.min.bytes and "
                           "consumer.request.timeout.ms",
                           key);
        if (!json_is_null(value) && fields[i].take(value, ret, err) != 0)
            return err->code;
    }
    return 0;
}

/* ---- partitions and offsets ---- */

static int
refuse_place(struct mr_err *err, size_t i, const char *what)
{
    return mr_fail(err, MR_E(INVALID), MR_REJECT, "element %zu %s", i, what);
}

static int
take_place(const json_t *element, size_t i, bool has_offset, struct task *task, struct mr_err *err)
{
    struct place *place = &task->places[i];
    const char *topic = json_string_value(json_object_get(element, "topic"));
    const char *note = json_string_value(json_object_get(element, "metadata"));
    int64_t partition, offset = 0;
    if (topic == NULL || *topic == '\0' || strlen(topic) > MR_BUS_TOPIC_MAX)
        return refuse_place(err, i, "has no \"topic\"");
    if (!number_of(json_object_get(element, "partition"), INT32_MAX, &partition))
        return refuse_place(err, i, "has no \"partition\" from 0 on");
    if (has_offset && !number_of(json_object_get(element, "offset"), INT64_MAX - 1, &offset))
        return refuse_place(err, i, "has no \"offset\" from 0 on");
    if (note != NULL && strlen(note) >= MR_POSITION_NOTE_MAX)
        return refuse_place(err, i, "has more than 511 bytes of \"metadata\"");
    *place = (struct place){ .topic = mr_arena_copy(&task->arena, topic, strlen(topic)),
                             .partition = (int32_t)partition,
                             .offset = offset };
    if (note != NULL)
        place->note = mr_arena_copy(&task->arena, note, strlen(note));
    return 0;
}

int
rest_v2_places(const json_t *body, bool has_offsets, struct task *task, struct mr_err *err)
{
    const char *field = has_offsets ? "offsets" : "partitions";
    const json_t *list = json_object_get(body, field);
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count == 0 || count > BODY_PLACES_MAX)
        return mr_fail(err, MR_E(INVALID), MR_REJECT,
                       "\"%s\" must be a list of 1 to %d; send {\"%s\":[{\"topic\":..,"
                       "\"partition\":..%s}]}",
                       field, BODY_PLACES_MAX, field, has_offsets ? ",\"offset\":.." : "");
    task->places = mr_arena_alloc(&task->arena, count * sizeof(*task->places));
    task->count = count;
    for (size_t i = 0; i < count; i++)
        if (take_place(json_array_get(list, i), i, has_offsets, task, err) != 0)
            return err->code;
    return 0;
}
