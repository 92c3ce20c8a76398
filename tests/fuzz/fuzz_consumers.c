/*
 * Bodies about consumers of the REST proxy: the first byte chooses what is posted to, the rest is
 * the body. Whatever it is, the door answers in JSON or with 204, and never that it is at fault.
 */
#include "door.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define C "/consumers/g/instances/c"

static void
check_answer(int status)
{
    char *body = strstr(fuzz.answer, "\r\n\r\n");
    MR_ASSERT(body != NULL);
    MR_ASSERT(status >= 200 && status < 500);
    MR_ASSERT((status == 204) == (body[4] == '\0'));
    if (status == 204)
        return;
    json_t *answer = json_loads(body, 0, NULL);
    MR_ASSERT(answer != NULL);
    MR_ASSERT(status == 200 || json_is_integer(json_object_get(answer, "error_code")));
    json_decref(answer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {
        "/consumers/g",     C "/subscription",        C "/assignments", C "/positions",
        C "/positions/end", C "/positions/beginning", C "/offsets",
    };
    static const char made[] = "{\"name\":\"c\",\"format\":\"json\"}";
    if (size < 2 || size > 4096)
        return 0;
    fuzz_open();
    int status = fuzz_post(paths[0], "", (const uint8_t *)made, sizeof(made) - 1);
    MR_ASSERT(status == 200 || status == 409);
    check_answer(fuzz_post(paths[data[0] % MR_COUNT(paths)], "", data + 1, size - 1));
    return 0;
}
