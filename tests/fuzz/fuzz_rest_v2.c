/*
 * Bodies of POST /topics/{topic}. The oracle is jansson: what it takes for a list of records with
 * values must be stored, one record for each; and nothing is stored of what is refused.
 */
#include "door.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* May be base64 of an object, which is refused. */
static bool
may_be_base64(const json_t *value)
{
    return json_is_string(value) && json_string_value(value)[0] == 'e';
}

/* Count of records that must be stored, or -1 when the body need not be taken. */
static int64_t
expected(const uint8_t *data, size_t size)
{
    json_error_t where;
    json_t *root =
        json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    json_t *records = json_object_get(root, "records"), *record;
    int64_t count = json_is_array(records) ? (int64_t)json_array_size(records) : -1;
    size_t i;
    json_array_foreach(records, i, record)
    {
        if (may_be_base64(json_object_get(record, "value")) ||
            may_be_base64(json_object_get(record, "key")) || !json_is_object(record) ||
            json_object_get(record, "value") == NULL ||
            json_object_get(record, "partition") != NULL)
            count = -1;
    }
    /* A field name may be written with escapes, which the scanner does not read. */
    if (memchr(data, '\\', size) != NULL || count == 0)
        count = -1;
    json_decref(root);
    return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 16384)
        return 0;
    fuzz_open();
    int64_t before = fuzz_stored();
    int status = fuzz_post("/topics/" FUZZ_TOPIC, "", data, size);
    int64_t stored = fuzz_stored() - before, wanted = expected(data, size);
    MR_ASSERT(wanted < 0 || status == 200);
    MR_ASSERT(wanted < 0 || stored == wanted);
    MR_ASSERT((status == 200) == (stored > 0));
    char *body = strstr(fuzz.answer, "\r\n\r\n");
    MR_ASSERT(body != NULL);
    json_t *answer = json_loads(body, 0, NULL);
    MR_ASSERT(json_is_object(answer));
    json_decref(answer);
    return 0;
}
