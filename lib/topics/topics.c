/*
 * Settings are kept as the list of texts that mr_bus_create takes, one list per role.
 */
#include "topics/topics.h"

#include "clock/clock.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    ROLES = 4,
    SETTINGS_MAX = 64, /* of one role */
    PARTITIONS_MAX = 10000,
    REPLICAS_MAX = 100,
    RECORD_BYTES = 1048588, /* Kafka's default of max.message.bytes */
    RECORD_BYTES_MORE = 64 * 1024,
};

static const char size_setting[] = "max.message.bytes";
static const char policy_setting[] = "cleanup.policy";

struct mr_plan {
    int partitions, replicas;
    char *settings[ROLES][2 * SETTINGS_MAX + 1]; /* name, value, .. NULL */
};

static size_t
find(const struct mr_plan *plan, enum mr_topic_role role, const char *name)
{
    size_t i = 0;
    while (plan->settings[role][i] != NULL && strcmp(plan->settings[role][i], name) != 0)
        i += 2;
    return i;
}

static int
put(struct mr_plan *plan, enum mr_topic_role role, const char *name, const char *value,
    struct mr_err *err)
{
    size_t at = find(plan, role, name);
    if (at == (size_t)2 * SETTINGS_MAX)
        return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL, "more than %d settings", SETTINGS_MAX);
    if (plan->settings[role][at] == NULL)
        plan->settings[role][at] = mr_strdup(name);
    free(plan->settings[role][at + 1]);
    plan->settings[role][at + 1] = mr_strdup(value);
    return 0;
}

static int
put_all(struct mr_plan *plan, enum mr_topic_role role, json_t *object, struct mr_err *err)
{
    const char *name;
    json_t *value;
    if (object != NULL && !json_is_object(object))
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "settings must be an object");
    json_object_foreach(object, name, value)
    {
        char number[32];
        const char *text = number;
        if (json_is_string(value))
            text = json_string_value(value);
        else if (json_is_integer(value))
            (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        else if (json_is_boolean(value))
            text = json_is_true(value) ? "true" : "false";
        else
            return mr_fail(err, MR_E(INVALID), MR_FATAL,
                           "setting %s must be a text, a whole number or a truth value", name);
        if (put(plan, role, name, text, err) != 0)
            return err->code;
    }
    return 0;
}

static int
get_count(json_t *root, const char *name, int most, int *ret, struct mr_err *err)
{
    json_t *value = json_object_get(root, name);
    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        json_integer_value(value) > most)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s must be a whole number from 1 to %d", name,
                       most);
    *ret = (int)json_integer_value(value);
    return 0;
}

static int
check_names(json_t *root, struct mr_err *err)
{
    static const char *const known[] = { "partitions", "replicas", "settings",
                                         "valid",      "clean",    "dead" };
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        size_t i = 0;
        while (i < MR_COUNT(known) && strcmp(known[i], name) != 0)
            i++;
        if (i == MR_COUNT(known))
            return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s is not known here", name);
    }
    return 0;
}

/* LAW 14. */
static int
widen(struct mr_plan *plan, struct mr_err *err)
{
    const char *raw = mr_plan_setting(plan, MR_TOPIC_RAW, size_setting);
    long long bytes = raw != NULL ? strtoll(raw, NULL, 10) : RECORD_BYTES;
    if (bytes < 1024 || bytes > INT32_MAX - RECORD_BYTES_MORE)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s of %lld is out of range", size_setting,
                       bytes);
    char text[32];
    (void)snprintf(text, sizeof(text), "%lld", bytes + RECORD_BYTES_MORE);
    for (int role = MR_TOPIC_VALID; role <= MR_TOPIC_DEAD; role++) {
        const char *own = mr_plan_setting(plan, (enum mr_topic_role)role, size_setting);
        if (own != NULL && strtoll(own, NULL, 10) >= bytes + RECORD_BYTES_MORE)
            continue;
        if (put(plan, (enum mr_topic_role)role, size_setting, text, err) != 0)
            return err->code;
    }
    return 0;
}

/* A compacted topic drops records that have a younger one of their key, read or not. The broker's
 * own default may be that. */
static int
keep_all(struct mr_plan *plan, enum mr_topic_role role, struct mr_err *err)
{
    const char *wish = mr_plan_setting(plan, role, policy_setting);
    if (wish != NULL && strcmp(wish, "delete") != 0)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "%s must be delete, not %s: events would vanish", policy_setting, wish);
    return put(plan, role, policy_setting, "delete", err);
}

static int
fill(struct mr_plan *plan, json_t *root, struct mr_err *err)
{
    if (!json_is_object(root))
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "one object is expected");
    if (check_names(root, err) != 0 ||
        get_count(root, "partitions", PARTITIONS_MAX, &plan->partitions, err) != 0 ||
        get_count(root, "replicas", REPLICAS_MAX, &plan->replicas, err) != 0)
        return err->code;
    for (int role = MR_TOPIC_RAW; role <= MR_TOPIC_DEAD; role++) {
        const char *suffix = mr_topic_suffix((enum mr_topic_role)role);
        json_t *own = role == MR_TOPIC_RAW ? NULL : json_object_get(root, suffix + 1);
        if (put_all(plan, (enum mr_topic_role)role, json_object_get(root, "settings"), err) != 0 ||
            put_all(plan, (enum mr_topic_role)role, own, err) != 0 ||
            keep_all(plan, (enum mr_topic_role)role, err) != 0)
            return err->code;
    }
    return widen(plan, err);
}

int
mr_plan_open(const char *file, struct mr_plan **ret, struct mr_err *err)
{
    MR_ASSERT(file != NULL);
    MR_ASSERT(ret != NULL);
    json_error_t where;
    json_t *root = json_load_file(file, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "topics file %s: %s (line %d)", file,
                       where.text, where.line);
    MR_CLEANUP(mr_plan_closep) struct mr_plan *plan = mr_alloc(sizeof(*plan));
    int code = fill(plan, root, err);
    json_decref(root);
    if (code != 0)
        return mr_fail_in(err, "topics file %s", file);
    *ret = MR_TAKE(plan);
    return 0;
}

void
mr_plan_close(struct mr_plan *plan)
{
    if (plan == NULL)
        return;
    for (int role = 0; role < ROLES; role++)
        for (size_t i = 0; plan->settings[role][i] != NULL; i++)
            free(plan->settings[role][i]);
    free(plan);
}

void
mr_plan_closep(struct mr_plan **plan)
{
    mr_plan_close(*plan);
}

int
mr_plan_partitions(const struct mr_plan *plan)
{
    MR_ASSERT(plan != NULL);
    return plan->partitions;
}

int
mr_plan_replicas(const struct mr_plan *plan)
{
    MR_ASSERT(plan != NULL);
    return plan->replicas;
}

const char *
mr_plan_setting(const struct mr_plan *plan, enum mr_topic_role role, const char *name)
{
    MR_ASSERT(plan != NULL);
    size_t at = find(plan, role, name);
    return plan->settings[role][at] != NULL ? plan->settings[role][at + 1] : NULL;
}

/* LAW 1: tenants that differ only in case would share a table name where names are folded. */
static int
check_case(struct mr_bus *bus, const char *tenant, int timeout_ms, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
    size_t count = 0;
    if (mr_bus_topics(bus, &topics, &count, timeout_ms, err) != 0)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        struct mr_topic_name name;
        if (mr_topic_parse(topics[i].name, &name) && strcasecmp(name.tenant, tenant) == 0 &&
            strcmp(name.tenant, tenant) != 0)
            return mr_fail(err, MR_E(CONFLICT), MR_REJECT,
                           "tenant %s differs only in case from %s, which has topics already",
                           tenant, name.tenant);
    }
    return 0;
}

int
mr_plan_make(const struct mr_plan *plan, struct mr_bus *bus, const char *tenant, const char *kind,
             int timeout_ms, struct mr_err *err)
{
    MR_ASSERT(plan != NULL);
    return mr_plan_make_sized(plan, bus, tenant, kind, plan->partitions, timeout_ms, err);
}

int
mr_plan_make_sized(const struct mr_plan *plan, struct mr_bus *bus, const char *tenant,
                   const char *kind, int partitions, int timeout_ms, struct mr_err *err)
{
    static const enum mr_topic_role order[ROLES] = { MR_TOPIC_CLEAN, MR_TOPIC_DEAD, MR_TOPIC_VALID,
                                                     MR_TOPIC_RAW };
    MR_ASSERT(plan != NULL);
    MR_ASSERT(partitions > 0);
    char names[ROLES][MR_TOPIC_MAX + 1];
    struct mr_topic_spec specs[ROLES];
    int64_t deadline_ms = mr_now_ms() + timeout_ms;
    int code = check_case(bus, tenant, timeout_ms, err);
    if (code != 0)
        return code;
    for (size_t i = 0; i < ROLES; i++) {
        mr_topic_format(tenant, kind, order[i], names[i]);
        specs[i] =
            (struct mr_topic_spec){ .name = names[i],
                                    .partitions = partitions,
                                    .replicas = plan->replicas,
                                    .settings = (const char *const *)plan->settings[order[i]] };
    }
    return mr_bus_create(bus, specs, ROLES, (int)mr_left_ms(deadline_ms, timeout_ms), err);
}
