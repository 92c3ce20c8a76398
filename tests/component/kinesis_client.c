#include "kinesis_client.h"

#include <cbor.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 64 << 20, HEADERS_BYTES = 512 };

static const char *more_header = "";

/* ---- JSON to CBOR ---- */

static cbor_item_t *
bytes_of(const char *base64)
{
    char *bytes = mr_alloc(strlen(base64) + 4);
    int64_t size = mr_base64_decode(mr_slice_text(base64), bytes);
    assert_true(size >= 0);
    cbor_item_t *item = cbor_build_bytestring((cbor_data)bytes, (size_t)size);
    free(bytes);
    return item;
}

static cbor_item_t *to_cbor(const char *name, json_t *value);

static cbor_item_t *
map_of(json_t *object)
{
    cbor_item_t *map = cbor_new_definite_map(json_object_size(object));
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        struct cbor_pair pair = { .key = cbor_move(cbor_build_string(name)),
                                  .value = cbor_move(to_cbor(name, value)) };
        assert_true(cbor_map_add(map, pair));
    }
    return map;
}

static cbor_item_t *
list_of(json_t *array)
{
    cbor_item_t *list = cbor_new_indefinite_array();
    size_t i;
    json_t *value;
    json_array_foreach(array, i, value)
        assert_true(cbor_array_push(list, cbor_move(to_cbor("", value))));
    return list;
}

/* As Java's SDK writes it: bytes as such, times as milliseconds with their tag. */
static cbor_item_t *
to_cbor(const char *name, json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return map_of(value);
    case JSON_ARRAY:
        return list_of(value);
    case JSON_STRING:
        return strcmp(name, "Data") == 0
                   ? bytes_of(json_string_value(value))
                   : cbor_build_stringn(json_string_value(value), json_string_length(value));
    case JSON_REAL:
        return cbor_build_tag(
            1, cbor_move(cbor_build_uint64((uint64_t)(json_real_value(value) * 1000 + 0.5))));
    case JSON_INTEGER:
        return json_integer_value(value) >= 0
                   ? cbor_build_uint64((uint64_t)json_integer_value(value))
                   : cbor_build_negint64((uint64_t)(-1 - json_integer_value(value)));
    case JSON_NULL:
        return cbor_new_null();
    default:
        return cbor_build_bool(json_is_true(value));
    }
}

/* ---- CBOR to JSON ---- */

static json_t *
text_of_bytes(const cbor_item_t *item)
{
    struct mr_buf text;
    mr_buf_init(&text, TEXT_MAX);
    mr_base64_encode(mr_slice(cbor_bytestring_handle(item), cbor_bytestring_length(item)), &text);
    json_t *value = json_stringn(text.data != NULL ? text.data : "", text.size);
    mr_buf_fini(&text);
    return value;
}

static json_t *
from_cbor(cbor_item_t *item)
{
    json_t *value = NULL;
    if (cbor_isa_map(item)) {
        value = json_object();
        for (size_t i = 0; i < cbor_map_size(item); i++) {
            struct cbor_pair pair = cbor_map_handle(item)[i];
            char *name = mr_strndup((const char *)cbor_string_handle(pair.key),
                                    cbor_string_length(pair.key));
            assert_int_equal(json_object_set_new(value, name, from_cbor(pair.value)), 0);
            free(name);
        }
    } else if (cbor_isa_array(item)) {
        value = json_array();
        for (size_t i = 0; i < cbor_array_size(item); i++)
            assert_int_equal(json_array_append_new(value, from_cbor(cbor_array_handle(item)[i])),
                             0);
    } else if (cbor_isa_string(item)) {
        value = json_stringn((const char *)cbor_string_handle(item), cbor_string_length(item));
    } else if (cbor_isa_bytestring(item)) {
        value = text_of_bytes(item);
    } else if (cbor_isa_tag(item)) {
        cbor_item_t *time = cbor_tag_item(item);
        assert_int_equal(cbor_tag_value(item), 1);
        value = json_real((double)cbor_get_int(time) / 1000);
        cbor_decref(&time);
    } else if (cbor_isa_uint(item)) {
        value = json_integer((json_int_t)cbor_get_int(item));
    } else {
        value = json_boolean(cbor_is_bool(item) && cbor_get_bool(item));
    }
    assert_non_null(value);
    return value;
}

/* ---- calls ---- */

void
client_header(const char *line)
{
    more_header = line != NULL ? line : "";
}

static json_t *
read_answer(const struct answer *answer, bool is_cbor)
{
    struct mr_slice body =
        mr_slice(answer->body, answer->text.size - (size_t)(answer->body - answer->text.data));
    assert_non_null(strstr(answer->text.data, "\r\nx-amzn-RequestId: "));
    if (body.size == 0)
        return json_object();
    assert_non_null(
        strstr(answer->text.data, is_cbor ? "\r\nContent-Type: application/x-amz-cbor-1.1\r\n"
                                          : "\r\nContent-Type: application/x-amz-json-1.1\r\n"));
    if (!is_cbor) {
        json_t *value = json_loadb(body.data, body.size, 0, NULL);
        assert_non_null(value);
        return value;
    }
    struct cbor_load_result result;
    cbor_item_t *item = cbor_load(body.data, body.size, &result);
    assert_non_null(item);
    assert_int_equal(result.read, body.size);
    json_t *value = from_cbor(item);
    cbor_decref(&item);
    return value;
}

static int
call_with(struct gate *gate, bool is_cbor, const char *operation, struct mr_slice body,
          json_t **ret)
{
    char headers[HEADERS_BYTES];
    struct answer answer;
    (void)snprintf(headers, sizeof(headers),
                   "Content-Type: application/x-amz-%s-1.1\r\nX-Amz-Target: Kinesis_20131202.%s\r\n"
                   "%s",
                   is_cbor ? "cbor" : "json", operation, more_header);
    gate_call(gate, "POST", "/", headers, body, &answer);
    *ret = read_answer(&answer, is_cbor);
    if (answer.status != 200) {
        char line[128];
        (void)snprintf(line, sizeof(line), "\r\nx-amzn-ErrorType: %s\r\n",
                       client_text(*ret, "__type"));
        assert_non_null(strstr(answer.text.data, line));
    }
    answer_fini(&answer);
    return answer.status;
}

int
client_call(struct gate *gate, bool is_cbor, const char *operation, json_t *fields, json_t **ret)
{
    unsigned char *bytes = NULL;
    size_t size, room;
    assert_non_null(fields);
    if (is_cbor) {
        cbor_item_t *item = to_cbor("", fields);
        size = cbor_serialize_alloc(item, &bytes, &room);
        cbor_decref(&item);
    } else {
        bytes = (unsigned char *)json_dumps(fields, JSON_COMPACT);
        size = strlen((const char *)bytes);
    }
    int status = call_with(gate, is_cbor, operation, mr_slice(bytes, size), ret);
    free(bytes);
    json_decref(fields);
    return status;
}

json_t *
client_ask(struct gate *gate, bool is_cbor, const char *operation, json_t *fields)
{
    json_t *answer;
    if (client_call(gate, is_cbor, operation, fields, &answer) != 200)
        fail_msg("%s: %s", operation, json_dumps(answer, 0));
    return answer;
}

static void
check_refusal(const json_t *answer, int status, const char *type, const char *words)
{
    if (status < 400 || strcmp(client_text(answer, "__type"), type) != 0 ||
        strstr(client_text(answer, "message"), words) == NULL)
        fail_msg("%s '%s' expected: %d %s", type, words, status, json_dumps(answer, 0));
    assert_int_equal(status, strcmp(type, "ServiceUnavailable") == 0 ? 503
                             : strcmp(type, "InternalFailure") == 0  ? 500
                                                                     : 400);
}

void
client_refused(struct gate *gate, bool is_cbor, const char *operation, json_t *fields,
               const char *type, const char *words)
{
    json_t *answer;
    int status = client_call(gate, is_cbor, operation, fields, &answer);
    check_refusal(answer, status, type, words);
    json_decref(answer);
}

void
client_refused_body(struct gate *gate, bool is_cbor, const char *operation, struct mr_slice body,
                    const char *type, const char *words)
{
    json_t *answer;
    int status = call_with(gate, is_cbor, operation, body, &answer);
    check_refusal(answer, status, type, words);
    json_decref(answer);
}

const char *
client_text(const json_t *answer, const char *name)
{
    const char *text = json_string_value(json_object_get(answer, name));
    if (text == NULL)
        fail_msg("%s is missing: %s", name, json_dumps(answer, 0));
    return text;
}

const char *
client_iterator(struct gate *gate, bool is_cbor, int shard, const char *type, json_t **ret_answer)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "shardId-%012d", shard);
    *ret_answer = client_ask(gate, is_cbor, "GetShardIterator",
                             json_pack("{ssssss}", "StreamName", CLIENT_STREAM, "ShardId", name,
                                       "ShardIteratorType", type));
    return client_text(*ret_answer, "ShardIterator");
}

json_t *
client_record(const char *data, const char *key)
{
    struct mr_buf base64;
    mr_buf_init(&base64, TEXT_MAX);
    mr_base64_encode(mr_slice_text(data), &base64);
    json_t *record = json_pack("{ssss}", "Data", base64.data, "PartitionKey", key);
    mr_buf_fini(&base64);
    return record;
}

static bool
is_ready(void *door)
{
    char why[256];
    return door_ready(door, why, sizeof(why));
}

void
client_open(struct gate *gate, int partitions)
{
    gate_open(gate, &(struct gate_wish){ .topic = CLIENT_TOPIC, .partitions = partitions });
    gate_await(gate, is_ready, gate->door);
}
