#include "guard_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void
guarded_file(const struct guarded *guarded, const char *name, const char *text, unsigned mode)
{
    MR_CLEANUP(mr_freep) char *path = mr_printf("%s/%s", guarded->folder, name);
    MR_CLEANUP(mr_freep) char *made = mr_printf("%s.new", path);
    FILE *file = fopen(made, "w");
    assert_non_null(file);
    for (const char *at = text; *at != '\0'; at++)
        assert_true(fputc(*at == '\'' ? '"' : *at, file) != EOF);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(made, mode), 0);
    assert_int_equal(rename(made, path), 0);
}

void
guarded_open(struct guarded *guarded, const char *policy)
{
    if (guarded->folder[0] == '\0') {
        (void)snprintf(guarded->folder, sizeof(guarded->folder), "/tmp/millrace-guard-XXXXXX");
        assert_non_null(mkdtemp(guarded->folder));
    }
    (void)snprintf(guarded->policy, sizeof(guarded->policy), "%s/policy.json", guarded->folder);
    guarded_file(guarded, "policy.json", policy, 0600);
    gate_open(&guarded->gate, &(struct gate_wish){ .topic = TOPIC, .policy = guarded->policy });
}

void
guarded_close(struct guarded *guarded)
{
    gate_close(&guarded->gate);
    MR_CLEANUP(mr_freep) char *command = mr_printf("rm -r %s", guarded->folder);
    assert_int_equal(system(command), 0);
}

int
guarded_replace(struct guarded *guarded, const char *policy, struct mr_err *err)
{
    guarded_file(guarded, "policy.json", policy, 0600);
    return door_reload(guarded->gate.door, err);
}

bool
guarded_says(struct guarded *guarded, const char *text)
{
    struct mr_buf status;
    mr_buf_init(&status, 64 * 1024);
    door_status(guarded->gate.door, &status);
    bool says = strstr(status.data, text) != NULL;
    mr_buf_fini(&status);
    return says;
}

int
guarded_post(struct guarded *guarded, const char *topic, const char *headers, struct answer *ret)
{
    char path[256], lines[8192];
    struct answer answer;
    (void)snprintf(path, sizeof(path), "/topics/%s", topic);
    (void)snprintf(lines, sizeof(lines), JSON "%s", headers);
    gate_call(&guarded->gate, "POST", path, lines, ONE, &answer);
    int status = answer.status;
    if (ret != NULL)
        *ret = answer;
    else
        answer_fini(&answer);
    return status;
}

int64_t
guarded_count(struct guarded *guarded, const char *method, const char *outcome)
{
    const char *labels[] = { method, outcome };
    return mr_metrics_cell(guarded->gate.metrics, "millrace_gateway_auth_total", labels)->value;
}
