/*
 * Bodies of PUT /streams/{name}/record, and the same natively in JSON. The oracle is jansson: an
 * object with Data that is an object must be stored as one record, unless Data wraps itself; and
 * nothing is stored of what is refused.
 */
#include "kinesis.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
must_be_taken(const uint8_t *data, size_t size)
{
    json_error_t where;
    json_t *root =
        json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    bool taken = json_is_object(json_object_get(root, "Data")) && json_object_size(root) == 1;
    json_decref(root);
    return taken && memchr(data, '\\', size) == NULL;
}

static void
check_answer(struct mr_slice body)
{
    json_t *answer = json_loadb(body.data, body.size, 0, NULL);
    MR_ASSERT(json_is_object(answer));
    json_decref(answer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 16384)
        return 0;
    fuzz_open();
    int64_t before = fuzz_stored();
    int status = fuzz_post("/streams/t-pin/record", "", data, size);
    int64_t stored = fuzz_stored() - before;
    MR_ASSERT(!must_be_taken(data, size) || (status == 200 && stored == 1));
    MR_ASSERT((status == 200) == (stored > 0));
    check_answer(fuzz_answer_body());
    check_answer(fuzz_kinesis("json", data, size));
    return 0;
}
