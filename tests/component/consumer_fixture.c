#include "consumer_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WAIT_S = 30, TEXT_BYTES = 1 << 20 };

void
say_with(struct gate *gate, const char *headers, const char *method, const char *path,
         const char *body, int status, const char *words)
{
    struct answer answer;
    gate_call(gate, method, path, headers, mr_slice_text(body), &answer);
    if (answer.status != status || strstr(answer.text.data, words) == NULL)
        fail_msg("%s %s %s: expected %d %s, got %s", method, path, body, status, words,
                 answer.text.data);
    answer_fini(&answer);
}

void
say(struct gate *gate, const char *method, const char *path, const char *body, int status,
    const char *words)
{
    say_with(gate, V2, method, path, body, status, words);
}

void
put(struct gate *gate, int partition, int first, int count)
{
    char path[128];
    struct mr_buf body;
    mr_buf_init(&body, TEXT_BYTES);
    (void)snprintf(path, sizeof(path), "/topics/" PIN "/partitions/%d", partition);
    for (int i = 0; i < count; i++)
        mr_buf_printf(&body, "%s{\"value\":{\"n\":%d}}", i > 0 ? "," : "{\"records\":[", first + i);
    mr_buf_text(&body, "]}");
    say(gate, "POST", path, body.data, 200, "\"error_code\":null");
    mr_buf_fini(&body);
}

void
make_consumer(struct gate *gate, const char *group, const char *settings)
{
    char path[128], body[512];
    (void)snprintf(path, sizeof(path), "/consumers/%s", group);
    (void)snprintf(body, sizeof(body), "{'name':'c'%s%s}", settings[0] != '\0' ? "," : "",
                   settings);
    for (char *at = body; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    say(gate, "POST", path, body, 200, "\"instance_id\":\"c\"");
}

size_t
count_of(const char *text, const char *word)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
        count++;
    return count;
}

char *
read_records(struct gate *gate, const char *instance, size_t count)
{
    char path[256];
    struct mr_buf all;
    time_t until = time(NULL) + WAIT_S;
    mr_buf_init(&all, TEXT_BYTES);
    mr_buf_text(&all, "");
    (void)snprintf(path, sizeof(path), "%s/records?timeout=200", instance);
    while (count_of(all.data, "\"offset\":") < count) {
        struct answer answer;
        gate_call(gate, "GET", path, "", mr_slice_text(""), &answer);
        if (answer.status != 200)
            fail_msg("%s: %s", path, answer.text.data);
        mr_buf_text(&all, answer.body);
        answer_fini(&answer);
        assert_true(time(NULL) < until);
    }
    assert_int_equal(count_of(all.data, "\"offset\":"), count);
    return all.data;
}
