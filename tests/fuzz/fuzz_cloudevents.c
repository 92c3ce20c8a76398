/*
 * Bodies of CloudEvents, one or, where a list begins, a batch. The oracle is jansson: events
 * whose required attributes and data are there must be stored, one record each; one that lacks an
 * attribute must not; and nothing is stored of what is refused.
 */
#include "door.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
has_text(const json_t *event, const char *name)
{
    return json_string_length(json_object_get(event, name)) > 0;
}

static bool
has_required(const json_t *event)
{
    const char *version = json_string_value(json_object_get(event, "specversion"));
    return version != NULL && strcmp(version, "1.0") == 0 && has_text(event, "id") &&
           has_text(event, "source") && has_text(event, "type");
}

/* Whether an attribute or another form of data may stand in the way. */
static bool
is_plain(const json_t *event)
{
    static const char *const others[] = { "subject", "partitionkey", "datacontenttype",
                                          "data_base64" };
    for (size_t i = 0; i < MR_COUNT(others); i++)
        if (json_object_get(event, others[i]) != NULL)
            return false;
    const json_t *data = json_object_get(event, "data");
    return data != NULL && !json_is_null(data) &&
           json_string_length(json_object_get(event, "id")) +
                   json_string_length(json_object_get(event, "source")) <=
               1024;
}

static void
check(const uint8_t *data, size_t size, bool is_batch, int status, int64_t stored)
{
    json_error_t where;
    json_t *root =
        json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    if (root != NULL && memchr(data, '\\', size) == NULL) {
        size_t count = is_batch ? json_array_size(root) : 1, good = 0, plain = 0;
        for (size_t i = 0; i < count; i++) {
            const json_t *event = is_batch ? json_array_get(root, i) : root;
            good += has_required(event);
            plain += is_plain(event);
        }
        MR_ASSERT(good == count || status != 200);
        MR_ASSERT(count == 0 || good < count || plain < count || status == 200);
        MR_ASSERT(status != 200 || stored <= (int64_t)count);
    }
    json_decref(root);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 16384)
        return 0;
    bool is_batch = data[0] == '[';
    fuzz_open();
    int64_t before = fuzz_stored();
    int status = fuzz_post("/v1/events/t/pin",
                           is_batch ? "Content-Type: application/cloudevents-batch+json\r\n"
                                    : "Content-Type: application/cloudevents+json\r\n",
                           data, size);
    int64_t stored = fuzz_stored() - before;
    MR_ASSERT(status == 200 || stored == 0);
    check(data, size, is_batch, status, stored);
    char *body = strstr(fuzz.answer, "\r\n\r\n");
    MR_ASSERT(body != NULL);
    json_t *answer = json_loads(body, 0, NULL);
    MR_ASSERT(json_is_object(answer));
    json_decref(answer);
    return 0;
}
