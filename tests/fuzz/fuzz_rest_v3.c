/*
 * Bodies of POST .../records and records:batch; the first byte chooses. The answer is the oracle:
 * it must be JSON, with as many successes as records were stored; and what jansson takes for a
 * stream of plain records must be stored as a whole.
 */
#include "door.h"

#include <jansson.h>

#define PATH "/v3/clusters/memory/topics/" FUZZ_TOPIC "/records"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
is_plain(const json_t *record)
{
    const json_t *value = json_object_get(record, "value");
    const char *type = json_string_value(json_object_get(value, "type"));
    return json_object_size(record) == 1 && json_object_size(value) == 2 && type != NULL &&
           strcmp(type, "JSON") == 0 && json_object_get(value, "data") != NULL;
}

/* Count of records that must be stored, or -1 when the body need not be taken. */
static int64_t
expected(const char *at, const char *end)
{
    int64_t count = 0;
    size_t brackets = 0;
    for (const char *bracket = at; bracket < end; bracket++)
        brackets += *bracket == '[' || *bracket == '{';
    if (brackets > 500) /* perhaps nested deeper than the scanner goes */
        return -1;
    /* A field name may be written with escapes, which the scanner does not read. */
    if (memchr(at, '\\', (size_t)(end - at)) != NULL)
        return -1;
    while (at < end) {
        json_error_t where;
        size_t flags = JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK;
        json_t *one = json_loadb(at, (size_t)(end - at), flags, &where);
        bool is_good = is_plain(one);
        json_decref(one);
        if (!is_good)
            return -1;
        at += where.position;
        count++;
    }
    return count;
}

/* Successes that a stream's answer tells. */
static int64_t
told(const char *at, const char *end)
{
    int64_t count = 0;
    while (at < end) {
        json_error_t where;
        json_t *one = json_loadb(at, (size_t)(end - at), JSON_DISABLE_EOF_CHECK, &where);
        MR_ASSERT(json_is_object(one));
        count += json_integer_value(json_object_get(one, "error_code")) == 200;
        json_decref(one);
        at += where.position;
        at += at < end && *at == '\n';
    }
    return count;
}

static void
check_batch(int status, const char *body, int64_t stored)
{
    json_t *answer = json_loads(body, 0, NULL);
    const json_t *successes = json_object_get(answer, "successes");
    MR_ASSERT(json_is_object(answer));
    MR_ASSERT((status == 207) == json_is_array(successes));
    MR_ASSERT((int64_t)json_array_size(successes) == stored);
    json_decref(answer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 16384)
        return 0;
    fuzz_open();
    bool is_batch = data[0] == 'b';
    int64_t before = fuzz_stored();
    int status = fuzz_post(is_batch ? PATH ":batch" : PATH, "", data + 1, size - 1);
    int64_t stored = fuzz_stored() - before;
    const char *body = strstr(fuzz.answer, "\r\n\r\n");
    MR_ASSERT(body != NULL);
    body += 4;
    if (is_batch) {
        check_batch(status, body, stored);
        return 0;
    }
    int64_t wanted = expected((const char *)data + 1, (const char *)data + size);
    MR_ASSERT(wanted < 0 || (stored == wanted && (wanted == 0 || status == 200)));
    MR_ASSERT(told(body, fuzz.answer + fuzz.answer_size) == stored);
    return 0;
}
