#include "gateway/strict.h"

#include "names/names.h"

#include <stdio.h>
#include <stdlib.h>

struct pattern {
    char tenant[MR_TENANT_MAX + 1]; /* "": any */
    char kind[MR_KIND_MAX + 1];
};

struct strict {
    char *kinds;
    struct mr_contracts *contracts;
    struct pattern patterns[STRICT_PATTERNS_MAX];
    size_t patterns_count;
    struct mr_buf record, key; /* what a check makes is not used here */
    struct mr_verdict verdict;
};

/* "" for a *. */
static bool
take_part(struct mr_slice part, bool (*is_ok)(struct mr_slice), char *ret, size_t size)
{
    if (mr_slice_is_text(part, "*"))
        return true;
    if (!is_ok(part) || part.size >= size)
        return false;
    memcpy(ret, part.data, part.size);
    return true;
}

static int
add(struct strict *strict, struct mr_slice text, struct mr_err *err)
{
    if (strict->patterns_count == STRICT_PATTERNS_MAX)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "option --strict: more than %d patterns",
                       STRICT_PATTERNS_MAX);
    struct pattern *pattern = &strict->patterns[strict->patterns_count++];
    const char *start = text.data, *dot = memchr(start, '.', text.size);
    size_t tenant_size = dot != NULL ? (size_t)(dot - start) : text.size;
    struct mr_slice kind =
        dot != NULL ? mr_slice(dot + 1, text.size - tenant_size - 1) : MR_SLICE("*");
    if (!take_part(mr_slice(start, tenant_size), mr_tenant_ok, pattern->tenant,
                   sizeof(pattern->tenant)) ||
        !take_part(kind, mr_kind_ok, pattern->kind, sizeof(pattern->kind)))
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "option --strict: \"%.*s\" is not a tenant, <tenant>.<kind>, *.<kind> or *",
                       (int)text.size, start);
    return 0;
}

int
strict_open(const char *patterns, const char *kinds, struct strict **ret, struct mr_err *err)
{
    *ret = NULL;
    if (patterns == NULL || patterns[0] == '\0')
        return 0;
    struct strict *strict = mr_alloc(sizeof(*strict));
    strict->kinds = mr_strdup(kinds);
    const char *at = patterns;
    while (at != NULL && err->code == 0) {
        const char *comma = strchr(at, ',');
        size_t size = comma != NULL ? (size_t)(comma - at) : strlen(at);
        (void)add(strict, mr_slice(at, size), err);
        at = comma != NULL ? comma + 1 : NULL;
    }
    if (err->code != 0 || mr_contracts_open(kinds, &strict->contracts, err) != 0) {
        strict_close(strict);
        return err->code;
    }
    *ret = strict;
    return 0;
}

void
strict_close(struct strict *strict)
{
    if (strict == NULL)
        return;
    mr_contracts_close(strict->contracts);
    free(strict->kinds);
    free(strict);
}

int
strict_reload(struct strict *strict, struct mr_err *err)
{
    MR_CLEANUP(mr_contracts_closep) struct mr_contracts *next = NULL;
    if (mr_contracts_open(strict->kinds, &next, err) != 0 ||
        mr_contracts_compatible(strict->contracts, next, err) != 0)
        return err->code;
    mr_contracts_close(strict->contracts);
    strict->contracts = MR_TAKE(next);
    return 0;
}

bool
strict_covers(const struct strict *strict, const char *topic)
{
    struct mr_topic_name name;
    if (!mr_topic_parse(topic, &name))
        return false;
    for (size_t i = 0; i < strict->patterns_count; i++) {
        const struct pattern *pattern = &strict->patterns[i];
        if ((pattern->tenant[0] == '\0' || strcmp(pattern->tenant, name.tenant) == 0) &&
            (pattern->kind[0] == '\0' || strcmp(pattern->kind, name.kind) == 0))
            return true;
    }
    return false;
}

static bool
refuse(struct strict *strict, const char *rule, const char *reason)
{
    strict->verdict = (struct mr_verdict){ 0 };
    (void)snprintf(strict->verdict.rule, sizeof(strict->verdict.rule), "%s", rule);
    (void)snprintf(strict->verdict.reason, sizeof(strict->verdict.reason), "%s", reason);
    return false;
}

bool
strict_judge(struct strict *strict, const char *topic, struct mr_slice value,
             const struct mr_verdict **ret)
{
    struct mr_topic_name name;
    *ret = &strict->verdict;
    const struct mr_kind *kind =
        mr_topic_parse(topic, &name) ? mr_contracts_find(strict->contracts, name.kind) : NULL;
    if (kind == NULL)
        return refuse(strict, "kind",
                      "there is no contract for this kind; add it, or leave the topic out of "
                      "--strict");
    if (value.data == NULL)
        return refuse(strict, "value", "the record has no value; post a JSON object");
    if (value.size == 0)
        return refuse(strict, "value", "the record's value is empty; post a JSON object");
    mr_buf_init(&strict->record, 2 * value.size + 1024);
    mr_buf_init(&strict->key, 2 * value.size + 1024);
    strict->verdict = (struct mr_verdict){ 0 };
    bool is_good =
        mr_contract_check(kind, value, &strict->record, &strict->key, &strict->verdict) == 0;
    mr_buf_fini(&strict->record);
    mr_buf_fini(&strict->key);
    return is_good;
}

static void
put_member(struct mr_buf *list, const char *name, const char *text)
{
    mr_buf_printf(list, ",\"%s\":", name);
    mr_buf_json(list, mr_slice_text(text));
}

size_t
strict_judge_post(struct strict *strict, struct post *post, struct mr_buf *ret_list)
{
    size_t failed = 0;
    const struct mr_verdict *verdict;
    for (size_t i = 0; i < post->count; i++) {
        struct event *event = &post->events[i];
        if (!strict_covers(strict, event->name) ||
            strict_judge(strict, event->name, event->value, &verdict))
            continue;
        event->code = MR_E(INVALID);
        event->text = mr_arena_copy(post->arena, verdict->reason, strlen(verdict->reason));
        if (failed++ >= STRICT_SHOWN_MAX)
            continue;
        mr_buf_printf(ret_list, "%s{\"index\":%zu", failed > 1 ? "," : "",
                      post->index + event->place);
        put_member(ret_list, "field", verdict->field);
        put_member(ret_list, "rule", verdict->rule);
        put_member(ret_list, "value", verdict->value);
        put_member(ret_list, "reason", verdict->reason);
        mr_buf_text(ret_list, "}");
    }
    return failed;
}
