/*
 * One record of v3: {"partition_id":..,"key":{"type":..,"data":..},"value":{..}}. The scanner has
 * found where it ends, so what is wrong inside of it is this record's own fault. Data of the type
 * JSON goes on as its bytes stand in the body.
 *
 * What cannot be kept is refused by its name, never dropped: headers, because ours carry one only,
 * and a time of the client's, because retention and the archive go by the time of arrival.
 */
#include "gateway/rest_v3.h"

#include "gateway/scan.h"

#include <stdarg.h>
#include <stdio.h>

enum { QUOTE_MAX = 40, FAULT_BYTES = 256 };

struct parse {
    struct v3_record *record;
    struct mr_arena *arena;
    bool is_entry;
    bool has_value;
};

static void fail(struct parse *parse, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The first fault stays; reading goes on for the sake of an entry's id. */
static void
fail(struct parse *parse, int code, const char *format, ...)
{
    char text[FAULT_BYTES];
    va_list arguments;
    if (parse->record->code != 0)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    parse->record->code = code;
    parse->record->text = mr_arena_copy(parse->arena, text, strlen(text));
}

/* For quoting what was sent. */
static int
quoted(struct mr_slice text)
{
    return (int)(text.size < QUOTE_MAX ? text.size : QUOTE_MAX);
}

static bool
is_null(struct mr_slice raw)
{
    return mr_slice_is_text(raw, "null");
}

static char
first(struct mr_slice raw)
{
    return *(const char *)raw.data;
}

/* ---- data ---- */

static bool
take_binary(struct parse *parse, struct mr_slice raw, struct mr_slice *ret)
{
    struct mr_slice text;
    if (first(raw) != '"' || !scan_unescape(raw, parse->arena, &text))
        return false;
    char *bytes = mr_arena_alloc(parse->arena, text.size / 4 * 3 + 3);
    int64_t size = mr_base64_decode(text, bytes);
    *ret = mr_slice(bytes, (size_t)(size > 0 ? size : 0));
    return size >= 0;
}

/* A number or a truth is taken as its text, as the REST proxy does. */
static bool
take_string(struct parse *parse, struct mr_slice raw, struct mr_slice *ret)
{
    *ret = raw;
    if (first(raw) == '"')
        return scan_unescape(raw, parse->arena, ret);
    return first(raw) != '{' && first(raw) != '[';
}

static void
take_data(struct parse *parse, const char *field, const char *type, struct mr_slice raw,
          struct mr_slice *ret)
{
    if (is_null(raw))
        return;
    if (strcmp(type, "JSON") == 0)
        *ret = raw;
    else if (strcmp(type, "BINARY") == 0 && !take_binary(parse, raw, ret))
        fail(parse, 400, "%s.data of type BINARY is not base64 in a string", field);
    else if (strcmp(type, "STRING") == 0 && !take_string(parse, raw, ret))
        fail(parse, 400, "%s.data of type STRING is not a string", field);
}

/* The type's own text, or NULL after a fault. */
static const char *
take_type(struct parse *parse, const char *field, struct mr_slice raw)
{
    static const char *const types[] = { "BINARY", "JSON", "STRING" };
    static const char *const with_registry[] = { "AVRO", "JSONSCHEMA", "PROTOBUF" };
    struct mr_slice text = raw;
    if (raw.size >= 2 && first(raw) == '"')
        text = mr_slice((const char *)raw.data + 1, raw.size - 2);
    for (size_t i = 0; i < MR_COUNT(types); i++)
        if (mr_slice_is_text(text, types[i]))
            return types[i];
    for (size_t i = 0; i < MR_COUNT(with_registry); i++) {
        if (mr_slice_is_text(text, with_registry[i])) {
            fail(parse, 42207,
                 "Error serializing message. %s.type %s needs a schema registry, which is not used "
                 "here; send JSON, STRING or BINARY",
                 field, with_registry[i]);
            return NULL;
        }
    }
    fail(parse, 400, "%s.type is %.*s; send JSON, STRING or BINARY", field, quoted(raw),
         (const char *)raw.data);
    return NULL;
}

static bool
is_of_a_registry(struct mr_slice key)
{
    static const char *const words[] = { "subject", "subject_name_strategy", "schema_id",
                                         "schema_version", "schema" };
    for (size_t i = 0; i < MR_COUNT(words); i++)
        if (mr_slice_is_text(key, words[i]))
            return true;
    return false;
}

/* "key" or "value": {"type":..,"data":..} or null. */
static void
take_part(struct parse *parse, const char *field, struct mr_slice raw, const char **ret_type,
          struct mr_slice *ret)
{
    struct scan scan;
    struct mr_slice key, value, type = { 0 }, data = { 0 };
    if (is_null(raw))
        return;
    scan_init(&scan, raw);
    if (first(raw) != '{') {
        fail(parse, 400, "%s is not {\"type\":\"JSON\",\"data\":..}", field);
        return;
    }
    (void)scan_enter(&scan, '{');
    while (scan_key(&scan, &key) && scan_value(&scan, &value)) {
        if (mr_slice_is_text(key, "type"))
            type = value;
        else if (mr_slice_is_text(key, "data"))
            data = value;
        else if (is_of_a_registry(key) && !is_null(value))
            fail(parse, 42207,
                 "Error serializing message. %s.%.*s needs a schema registry, which is not used "
                 "here; send type JSON, STRING or BINARY",
                 field, quoted(key), (const char *)key.data);
        else if (!is_of_a_registry(key))
            fail(parse, 400, "%s.%.*s is not a field; %s is {\"type\":\"JSON\",\"data\":..}", field,
                 quoted(key), (const char *)key.data, field);
    }
    if (!scan_end(&scan))
        fail(parse, 400, "%s is not JSON: %s", field, scan.fault);
    else if (type.data == NULL || is_null(type))
        fail(parse, 400, "%s.type is missing; send JSON, STRING or BINARY", field);
    else if (data.data == NULL)
        fail(parse, 400, "%s.data is missing; null is no %s", field, field);
    else if ((*ret_type = take_type(parse, field, type)) != NULL)
        take_data(parse, field, *ret_type, data, ret);
}

/* ---- the record ---- */

static void
take_partition(struct parse *parse, struct mr_slice raw)
{
    int64_t number = v3_number(raw);
    if (is_null(raw))
        return;
    if (number < 0 && first(raw) == '-')
        fail(parse, 40402, "Partition not found: %.*s", quoted(raw), (const char *)raw.data);
    else if (number < 0)
        fail(parse, 400, "partition_id %.*s is not a partition number", quoted(raw),
             (const char *)raw.data);
    else
        parse->record->partition = (int32_t)number;
}

static bool
is_empty_list(struct mr_slice raw)
{
    struct scan scan;
    scan_init(&scan, raw);
    return scan_enter(&scan, '[') && !scan_item(&scan) && scan_end(&scan);
}

/* One that is no good name stays unset. */
static void
take_id(struct parse *parse, struct mr_slice raw)
{
    struct mr_slice id;
    if (first(raw) == '"' && scan_unescape(raw, parse->arena, &id) && id.size > 0 &&
        id.size <= V3_ID_MAX && mr_utf8_valid(id))
        parse->record->id = id;
}

static void
take_unknown(struct parse *parse, struct mr_slice key)
{
    if (mr_slice_is_text(key, "records"))
        fail(parse, 400,
             "this is a body of v2; post it to /topics/{topic}, or each record as "
             "{\"value\":{\"type\":\"JSON\",\"data\":..}}");
    else if (mr_slice_is_text(key, "entries"))
        fail(parse, 400, "this is a batch; post it to records:batch");
    else if (mr_slice_is_text(key, "Data") || mr_slice_is_text(key, "PartitionKey"))
        fail(parse, 400,
             "this is a Kinesis record; PUT it to /streams/{name}/record, or send "
             "{\"value\":{\"type\":\"JSON\",\"data\":..}}");
    else
        fail(parse, 400, "%.*s is not a field of a record; there are partition_id, key, value",
             quoted(key), (const char *)key.data);
}

static void
take_field(struct parse *parse, struct mr_slice key, struct mr_slice raw)
{
    struct v3_record *record = parse->record;
    if (mr_slice_is_text(key, "value")) {
        parse->has_value = true;
        take_part(parse, "value", raw, &record->value_type, &record->value);
    } else if (mr_slice_is_text(key, "key")) {
        take_part(parse, "key", raw, &record->key_type, &record->key);
    } else if (mr_slice_is_text(key, "partition_id")) {
        take_partition(parse, raw);
    } else if (mr_slice_is_text(key, "id") && parse->is_entry) {
        take_id(parse, raw);
    } else if (mr_slice_is_text(key, "headers")) {
        if (!is_null(raw) && !is_empty_list(raw))
            fail(parse, 400,
                 "headers are not kept here; leave them out, or put them into the "
                 "value");
    } else if (mr_slice_is_text(key, "timestamp")) {
        if (!is_null(raw))
            fail(parse, 400,
                 "timestamp is not kept: a record has the time of its arrival; leave "
                 "it out, or put it into the value");
    } else {
        take_unknown(parse, key);
    }
}

void
v3_parse_record(struct mr_slice json, bool is_entry, struct mr_arena *arena, struct v3_record *ret)
{
    struct scan scan;
    struct mr_slice key, value;
    struct parse parse = { .record = ret, .arena = arena, .is_entry = is_entry };
    *ret = (struct v3_record){ .partition = -1 };
    scan_init(&scan, json);
    if (scan_peek(&scan) != '{') {
        fail(&parse, 400, "this is no record; send {\"value\":{\"type\":\"JSON\",\"data\":..}}");
        return;
    }
    (void)scan_enter(&scan, '{');
    while (scan_key(&scan, &key) && scan_value(&scan, &value))
        take_field(&parse, key, value);
    if (!scan_end(&scan))
        fail(&parse, 400, "this record is not JSON: %s at its byte %zu", scan.fault,
             (size_t)(scan.at - scan.start));
    else if (!parse.has_value)
        fail(&parse, 400, "value is missing; send {\"value\":{\"type\":\"JSON\",\"data\":..}}");
}
