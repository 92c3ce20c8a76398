/*
 * POST /v3/clusters/{c}/topics. <tenant>.<kind> of a kind that is known is made with the topics
 * behind it, as the plan says; any other name as the request says, and where it says nothing, as
 * the plan does.
 */
#include "gateway/rest_v3.h"

#include "gateway/topics.h"
#include "log/log.h"

#include <jansson.h>
#include <stdio.h>

enum {
    BODY_BYTES_MAX = 64 * 1024,
    SETTINGS_MAX = 64,
    PARTITIONS_MAX = 10000,
    REPLICAS_MAX = 100,
    CREATE_MS = 8000,
};

struct v3_creation {
    const struct mr_plan *plan;
    bool is_planned;
    struct mr_topic_name name; /* of a planned one */
    int partitions, replicas;  /* 0: not said */
    const char *settings[2 * SETTINGS_MAX + 1];
    size_t settings_count;
};

/* ---- the request ---- */

/* Text in the request's memory: the parsed body is gone before the topic is made. */
static const char *
keep(const struct call *call, const char *text)
{
    return mr_arena_copy(mr_http_arena(call->request), text, strlen(text));
}

/* A count, when it is said; false after a refusal. */
static bool
take_count(const struct call *call, const json_t *value, const char *field, int most, int *ret)
{
    *ret = 0;
    if (value == NULL || json_is_null(value))
        return true;
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 1 || number > most) {
        v3_refuse(call, 40002, "%s must be a number from 1 to %d", field, most);
        return false;
    }
    *ret = (int)number;
    return true;
}

static bool
take_setting(const struct call *call, const json_t *entry, struct v3_creation *creation)
{
    const json_t *value = json_object_get(entry, "value");
    const char *name = json_string_value(json_object_get(entry, "name"));
    if (name == NULL || !json_is_string(value)) {
        v3_refuse(call, 400,
                  "configs must be a list of {\"name\":\"..\",\"value\":\"..\"}, both "
                  "text");
        return false;
    }
    if (creation->settings_count == SETTINGS_MAX) {
        v3_refuse(call, 400, "configs may have %d entries at most", SETTINGS_MAX);
        return false;
    }
    creation->settings[2 * creation->settings_count] = keep(call, name);
    creation->settings[2 * creation->settings_count + 1] = keep(call, json_string_value(value));
    creation->settings_count++;
    return true;
}

static bool
take_settings(const struct call *call, const json_t *configs, struct v3_creation *creation)
{
    size_t i;
    const json_t *entry;
    if (configs == NULL || json_is_null(configs))
        return true;
    if (!json_is_array(configs)) {
        v3_refuse(call, 400, "configs must be a list");
        return false;
    }
    json_array_foreach(configs, i, entry)
    {
        if (!take_setting(call, entry, creation))
            return false;
    }
    return true;
}

/* What would be done silently otherwise. */
static bool
check_rest(const struct call *call, const json_t *root)
{
    const json_t *assignments = json_object_get(root, "replicas_assignments");
    if (json_is_true(json_object_get(root, "validate_only"))) {
        v3_refuse(call, 400, "validate_only is not offered; leave it out to make the topic");
        return false;
    }
    if (json_array_size(assignments) > 0 || json_object_size(assignments) > 0) {
        v3_refuse(call, 400,
                  "replicas_assignments is not offered; say partitions_count and "
                  "replication_factor");
        return false;
    }
    return true;
}

/* ---- what is made ---- */

/* A request may ask for less than the plan gives, not for more or for something else. */
static bool
check_planned(const struct call *call, const char *topic, const struct v3_creation *creation)
{
    const struct mr_plan *plan = creation->plan;
    if (creation->partitions > mr_plan_partitions(plan) ||
        creation->replicas > mr_plan_replicas(plan)) {
        v3_refuse(call, 40002,
                  "Topic %s is made as the plan of this pipeline says, with %d partitions and "
                  "replication factor %d; ask for no more",
                  topic, mr_plan_partitions(plan), mr_plan_replicas(plan));
        return false;
    }
    for (size_t i = 0; i < creation->settings_count; i++) {
        const char *name = creation->settings[2 * i];
        const char *planned = mr_plan_setting(plan, MR_TOPIC_RAW, name);
        if (planned != NULL && strcmp(planned, creation->settings[2 * i + 1]) == 0)
            continue;
        v3_refuse(call, 40002,
                  "Topic %s is made as the plan of this pipeline says, where %s is %s; leave it "
                  "out of configs",
                  topic, name, planned != NULL ? planned : "the broker's own");
        return false;
    }
    return true;
}

static bool
decide(const struct call *call, const char *topic, struct v3_creation *creation)
{
    struct topics *topics = admit_topics(call->gateway->admit);
    bool is_ours = mr_topic_parse(topic, &creation->name);
    if (is_ours && creation->name.role != MR_TOPIC_RAW) {
        v3_refuse(call, 40002, "Topic %s is made together with %s.%s; make that one", topic,
                  creation->name.tenant, creation->name.kind);
        return false;
    }
    creation->plan = topics_plan(topics);
    creation->is_planned = is_ours && topics_kind_known(topics, creation->name.kind);
    if (creation->is_planned)
        return check_planned(call, topic, creation);
    if (creation->partitions == 0)
        creation->partitions = mr_plan_partitions(creation->plan);
    if (creation->replicas == 0)
        creation->replicas = mr_plan_replicas(creation->plan);
    return true;
}

static int
make(const struct v3_question *question, struct mr_err *err)
{
    const struct v3_creation *creation = question->creation;
    struct mr_bus *bus = question->errand.bus;
    if (creation->is_planned)
        return mr_plan_make(creation->plan, bus, creation->name.tenant, creation->name.kind,
                            CREATE_MS, err);
    struct mr_topic_spec spec = { .name = question->topic,
                                  .partitions = creation->partitions,
                                  .replicas = creation->replicas,
                                  .settings = creation->settings };
    return mr_bus_create(bus, &spec, 1, CREATE_MS, err);
}

static int
ask_create(struct v3_question *question, struct mr_err *err)
{
    struct mr_err missing = { 0 };
    int code = v3_describe(question, &missing);
    if (code == 0)
        return mr_fail(err, MR_E(EXISTS), MR_REJECT, "Topic '%s' already exists.", question->topic);
    if (code != MR_E(NOT_FOUND)) {
        *err = missing;
        return code;
    }
    if (make(question, err) < 0)
        return err->code;
    return v3_describe(question, err);
}

static void
tell_created(struct v3_question *question)
{
    const struct mr_description *seen = &question->description;
    const struct call *call = &question->call;
    struct v3_page page;
    v3_page_init(&page, call, question->cluster);
    v3_put_topic(&page, question->topic, seen->partitions_count,
                 seen->partitions[0].replicas_count);
    MR_CLEANUP(mr_freep)
    char *location =
        mr_printf("Location: %s/%s/topics/%s\r\n", page.root, page.cluster, question->topic);
    mr_log(MR_LOG_INFO, "topic-made", " topic=%s principal=%s", question->topic,
           mr_log_quote(mr_slice_text(principal_name(call->who))));
    v3_send(&page, call, 201, location);
}

/* ---- the path ---- */

/* False after a refusal. */
static bool
read_request(const struct call *call, const json_t *root, struct v3_question *question)
{
    struct v3_creation *creation = question->creation;
    const char *topic = json_string_value(json_object_get(root, "topic_name"));
    if (topic == NULL) {
        v3_refuse(call, 400, "topic_name is missing; send {\"topic_name\":\"<tenant>.<kind>\"}");
        return false;
    }
    question->topic = keep(call, topic);
    return v3_check_name(call, question->topic) &&
           take_count(call, json_object_get(root, "partitions_count"), "partitions_count",
                      PARTITIONS_MAX, &creation->partitions) &&
           take_count(call, json_object_get(root, "replication_factor"), "replication_factor",
                      REPLICAS_MAX, &creation->replicas) &&
           take_settings(call, json_object_get(root, "configs"), creation) &&
           check_rest(call, root);
}

void
v3_create_topic(const struct call *call)
{
    struct mr_slice body = mr_http_body(call->request);
    if (!v3_check_media(call))
        return;
    if (body.size > BODY_BYTES_MAX) {
        v3_refuse(call, 413, "the description of a topic may have %d bytes at most",
                  BODY_BYTES_MAX);
        return;
    }
    json_error_t where;
    json_t *root = json_loadb(body.data != NULL ? body.data : "", body.size, 0, &where);
    if (!json_is_object(root)) {
        json_decref(root);
        v3_refuse(call, 400,
                  "the body must be one JSON object, such as "
                  "{\"topic_name\":\"<tenant>.<kind>\"}");
        return;
    }
    struct v3_question *question = v3_question(call);
    question->creation = mr_arena_alloc(mr_http_arena(call->request), sizeof(*question->creation));
    *question->creation = (struct v3_creation){ 0 };
    bool is_good = read_request(call, root, question);
    json_decref(root);
    if (!is_good)
        return;
    if (!guard_may(call->who, RIGHT_ADMIN, question->topic))
        v3_refuse(call, 40301, "%s may not make topic %s", principal_name(call->who),
                  question->topic);
    else if (decide(call, question->topic, question->creation))
        v3_ask(question, ask_create, tell_created);
}
