/*
 * Bodies of POST .../records, whole or as a stream of chunks (the second byte says how they are
 * cut), and of records:batch; the first byte chooses. The answer is the oracle:
 * it must be JSON, with as many successes as records were stored; and what jansson takes for a
 * stream of plain records must be stored as a whole.
 */
#include "door.h"

#include <jansson.h>

#define PATH "/v3/clusters/memory/topics/" FUZZ_TOPIC "/records"

enum { BODY_MAX = 16384 };

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
        size_t flags = JSON_ALLOW_NUL | JSON_DISABLE_EOF_CHECK;
        json_t *one = json_loadb(at, (size_t)(end - at), flags, &where);
        MR_ASSERT(json_is_object(one));
        count += json_integer_value(json_object_get(one, "error_code")) == 200;
        json_decref(one);
        at += where.position;
        at += at < end && *at == '\n';
    }
    return count;
}

static int
post_chunks(const uint8_t *data, size_t size, size_t cut)
{
    static uint8_t body[8 * BODY_MAX];
    size_t end = 0;
    for (size_t at = 0; at < size; at += cut) {
        size_t count = cut < size - at ? cut : size - at;
        end += (size_t)snprintf((char *)body + end, sizeof(body) - end, "%zx\r\n", count);
        memcpy(body + end, data + at, count);
        memcpy(body + end + count, "\r\n", 2);
        end += count + 2;
    }
    memcpy(body + end, "0\r\n\r\n", 5);
    return fuzz_send("POST " PATH " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n",
                     body, end + 5);
}

/* Takes the chunks of an answer together. */
static size_t
join_chunks(char *body, size_t size)
{
    char *at = body, *to = body;
    if (strstr(fuzz.answer, "Transfer-Encoding: chunked\r\n") == NULL)
        return size;
    for (size_t count = 1; count > 0;) {
        char *line_end;
        count = strtoul(at, &line_end, 16);
        MR_ASSERT(line_end > at && line_end + 2 + count <= body + size);
        memmove(to, line_end + 2, count);
        to += count;
        at = line_end + 2 + count + 2;
    }
    return (size_t)(to - body);
}

static void
check_batch(int status, const char *body, int64_t stored)
{
    json_t *answer = json_loads(body, JSON_ALLOW_NUL, NULL);
    const json_t *successes = json_object_get(answer, "successes");
    MR_ASSERT(json_is_object(answer));
    MR_ASSERT((status == 207) == json_is_array(successes));
    MR_ASSERT((int64_t)json_array_size(successes) == stored);
    json_decref(answer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > BODY_MAX)
        return 0;
    fuzz_open();
    char way = (char)data[0];
    size_t cut = 1 + data[1] % 61u;
    data += 2;
    size -= 2;
    int64_t before = fuzz_stored();
    int status = way == 'b'   ? fuzz_post(PATH ":batch", "", data, size)
                 : way == 'c' ? post_chunks(data, size, cut)
                              : fuzz_post(PATH, "", data, size);
    int64_t stored = fuzz_stored() - before;
    char *body = strstr(fuzz.answer, "\r\n\r\n");
    MR_ASSERT(body != NULL);
    body += 4;
    if (way == 'b') {
        check_batch(status, body, stored);
        return 0;
    }
    int64_t wanted = expected((const char *)data, (const char *)data + size);
    size_t body_size = join_chunks(body, (size_t)(fuzz.answer + fuzz.answer_size - body));
    MR_ASSERT(wanted < 0 || (stored == wanted && (wanted == 0 || status == 200)));
    MR_ASSERT(told(body, body + body_size) == stored);
    return 0;
}
