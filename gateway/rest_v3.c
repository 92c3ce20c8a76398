/*
 * REST Proxy v3: /v3/clusters and what stands below it. Kinds, links and codes are the published
 * ones; a path that is not offered says so.
 */
#include "gateway/rest_v3.h"

#include "gateway/media.h"
#include "gateway/topics.h"

#include <millrace/v1/event.pb-c.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_BYTES = 1024 };

/* ---- refusals ---- */

void
v3_refuse(const struct call *call, int code, const char *format, ...)
{
    static const struct {
        int code;
        enum fault fault; /* as which it is counted */
    } faults[] = {
        { 400, FAULT_JSON },    { 40002, FAULT_ENVELOPE }, { 40301, FAULT_DENIED },
        { 404, FAULT_ROUTE },   { 40403, FAULT_TOPIC },    { 413, FAULT_TOO_MANY },
        { 415, FAULT_MEDIA },   { 42206, FAULT_ENVELOPE }, { 42208, FAULT_ENVELOPE },
        { 50002, FAULT_KAFKA },
    };
    char text[TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    size_t i = 0;
    while (i < MR_COUNT(faults) && faults[i].code != code)
        i++;
    MR_ASSERT(i < MR_COUNT(faults));
    reply_fault_code(call->gateway->replies, call->request, &rest_v3, faults[i].fault, code, text);
}

void
v3_fail(const struct call *call, const struct mr_err *err)
{
    switch (err->code) {
    case MR_E(NOT_FOUND):
        v3_refuse(call, 40403, "This server does not host this topic-partition: %s", err->text);
        return;
    case MR_E(IDENTITY):
        v3_refuse(call, 404, "%s", err->text);
        return;
    case MR_E(INVALID):
    case MR_E(EXISTS):
    case MR_E(CONFLICT):
    case MR_E(UNSUPPORTED):
        v3_refuse(call, 40002, "%s", err->text);
        return;
    case MR_E(DENIED):
        v3_refuse(call, 40301, "%s", err->text);
        return;
    case MR_E(INTERNAL):
        v3_refuse(call, 50002, "%s", err->text);
        return;
    default:
        reply_fault(call->gateway->replies, call->request, &rest_v3, FAULT_DOWN, "%s", err->text);
        return;
    }
}

bool
v3_may_see(const struct call *call, const char *topic)
{
    return guard_may(call->who, RIGHT_CONSUME, topic) ||
           guard_may(call->who, RIGHT_PRODUCE, topic) || guard_may(call->who, RIGHT_ADMIN, topic);
}

const char *
v3_segment(const struct call *call, size_t i)
{
    MR_ASSERT(i < call->path.count);
    struct mr_slice segment = call->path.segments[i];
    return mr_arena_copy(mr_http_arena(call->request), segment.data, segment.size);
}

int64_t
v3_number(struct mr_slice text)
{
    const char *digits = text.data;
    int64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return -1;
        if (number < V3_NUMBER_MAX)
            number = number * 10 + (digits[i] - '0');
    }
    return text.size > 0 ? number : -1;
}

bool
v3_check_name(const struct call *call, const char *topic)
{
    if (topics_name_ok(topic))
        return true;
    v3_refuse(call, 40002,
              "Topic name %s is not one: 1 to %d of letters, digits, '.', '_' and '-', without "
              "\"__\" in front",
              topic, MR_BUS_TOPIC_MAX);
    return false;
}

bool
v3_check_media(const struct call *call)
{
    struct mr_slice type = mr_http_header(call->request, "content-type");
    if (media_format(type) == FORMAT_JSON)
        return true;
    v3_refuse(call, 415, "Content-Type %.*s is not taken here; send application/json",
              (int)(type.size < 100 ? type.size : 100), (const char *)type.data);
    return false;
}

/* ---- questions ---- */

struct v3_question *
v3_question(const struct call *call)
{
    struct v3_question *question = mr_arena_alloc(mr_http_arena(call->request), sizeof(*question));
    *question = (struct v3_question){ .call = *call };
    mr_arena_init(&question->arena);
    return question;
}

struct v3_question *
v3_topic_question(const struct call *call)
{
    const char *topic = v3_segment(call, V3_TOPIC);
    if (!v3_may_see(call, topic)) {
        v3_refuse(call, 40301, "%s may not see topic %s", principal_name(call->who), topic);
        return NULL;
    }
    struct v3_question *question = v3_question(call);
    question->topic = topic;
    return question;
}

/* The cluster in the path must be the one that this door writes to. */
static int
check_cluster(const struct v3_question *question, struct mr_err *err)
{
    const struct path *path = &question->call.path;
    if (path->count <= 2 || mr_slice_is_text(path->segments[2], question->cluster))
        return 0;
    return mr_fail(err, MR_E(IDENTITY), MR_REJECT,
                   "Cluster %.*s cannot be found; this is cluster %s",
                   (int)(path->segments[2].size < 100 ? path->segments[2].size : 100),
                   (const char *)path->segments[2].data, question->cluster);
}

static int
run(struct mr_job *job, struct mr_err *err)
{
    struct v3_question *question = (struct v3_question *)job;
    if (mr_bus_cluster_id(question->errand.bus, &question->cluster, V3_ASK_MS, err) < 0 ||
        check_cluster(question, err) < 0)
        return err->code;
    return question->ask != NULL ? question->ask(question, err) : 0;
}

/* The question itself goes with its request. */
static void
finish(struct errand *errand)
{
    struct v3_question *question = (struct v3_question *)errand;
    struct mr_arena arena = question->arena;
    MR_CLEANUP(mr_freep) struct mr_topic *topics = question->topics;
    if (errand->job.result != 0)
        v3_fail(&question->call, &errand->job.err);
    else
        question->tell(question);
    mr_arena_fini(&arena);
}

void
v3_ask(struct v3_question *question, int (*ask)(struct v3_question *question, struct mr_err *err),
       void (*tell)(struct v3_question *question))
{
    struct mr_err err = { 0 };
    const struct gateway *gateway = question->call.gateway;
    question->errand = (struct errand){ .job.run = run, .finish = finish };
    question->ask = ask;
    question->tell = tell;
    if (errands_submit(gateway->errands, &question->errand, &err) == 0)
        return;
    struct mr_arena arena = question->arena;
    reply_fault(gateway->replies, question->call.request, &rest_v3, FAULT_BUSY,
                "too many questions wait for Kafka's answer; try again");
    mr_arena_fini(&arena);
}

int
v3_describe(struct v3_question *question, struct mr_err *err)
{
    return mr_bus_describe(question->errand.bus, question->topic, &question->arena,
                           &question->description, V3_ASK_MS, err);
}

/* ---- the cluster ---- */

static void
put_cluster(struct v3_page *page, const struct v3_question *question)
{
    int32_t controller = question->description.controller;
    v3_put_resource(page, "KafkaCluster", "", "");
    if (controller >= 0)
        v3_put_link(page, "controller", "/brokers/%d", (int)controller);
    v3_put_link(page, "acls", "/acls");
    v3_put_link(page, "brokers", "/brokers");
    v3_put_link(page, "broker_configs", "/broker-configs");
    v3_put_link(page, "consumer_groups", "/consumer-groups");
    v3_put_link(page, "topics", "/topics");
    v3_put_link(page, "partition_reassignments", "/topics/-/partitions/-/reassignment");
    mr_buf_text(&page->body, "}");
}

static void
tell_clusters(struct v3_question *question)
{
    struct v3_page page;
    v3_page_init(&page, &question->call, question->cluster);
    v3_begin_list(&page, "KafkaClusterList", NULL);
    put_cluster(&page, question);
    v3_end_list(&page);
    v3_send(&page, &question->call, 200, NULL);
}

static void
tell_cluster(struct v3_question *question)
{
    struct v3_page page;
    v3_page_init(&page, &question->call, question->cluster);
    put_cluster(&page, question);
    v3_send(&page, &question->call, 200, NULL);
}

/* ---- brokers ---- */

static void
put_broker(struct v3_page *page, const struct mr_broker *broker)
{
    char path[V3_PATH_BYTES], name[V3_PATH_BYTES];
    (void)snprintf(path, sizeof(path), "/brokers/%d", (int)broker->id);
    (void)snprintf(name, sizeof(name), "/broker=%d", (int)broker->id);
    v3_put_resource(page, "KafkaBroker", path, name);
    mr_buf_printf(&page->body, ",\"broker_id\":%d,\"host\":", (int)broker->id);
    mr_buf_json(&page->body, mr_slice_text(broker->host));
    mr_buf_printf(&page->body, ",\"port\":%d,\"rack\":null", broker->port);
    v3_put_link(page, "configs", "/brokers/%d/configs", (int)broker->id);
    v3_put_link(page, "partition_replicas", "/brokers/%d/partition-replicas", (int)broker->id);
    mr_buf_text(&page->body, "}");
}

static void
tell_brokers(struct v3_question *question)
{
    const struct mr_description *seen = &question->description;
    struct v3_page page;
    v3_page_init(&page, &question->call, question->cluster);
    v3_begin_list(&page, "KafkaBrokerList", "/brokers");
    for (size_t i = 0; i < seen->brokers_count; i++) {
        if (i > 0)
            mr_buf_text(&page.body, ",");
        put_broker(&page, &seen->brokers[i]);
    }
    v3_end_list(&page);
    v3_send(&page, &question->call, 200, NULL);
}

static void
tell_broker(struct v3_question *question)
{
    const struct mr_description *seen = &question->description;
    int64_t id = v3_number(question->call.path.segments[4]);
    size_t i = 0;
    while (i < seen->brokers_count && seen->brokers[i].id != id)
        i++;
    if (i == seen->brokers_count) {
        v3_refuse(&question->call, 404, "Broker %s cannot be found",
                  v3_segment(&question->call, 4));
        return;
    }
    struct v3_page page;
    v3_page_init(&page, &question->call, question->cluster);
    put_broker(&page, &seen->brokers[i]);
    v3_send(&page, &question->call, 200, NULL);
}

/* Clients learn the cluster's id here, so whoever may do anything at all may ask. */
static void
ask_cluster(const struct call *call, void (*tell)(struct v3_question *question))
{
    if (v3_may_see(call, NULL))
        v3_ask(v3_question(call), v3_describe, tell);
    else
        v3_refuse(call, 40301, "%s may not see the cluster", principal_name(call->who));
}

static void
get_clusters(const struct call *call)
{
    ask_cluster(call, call->path.count == 2 ? tell_clusters : tell_cluster);
}

static void
get_brokers(const struct call *call)
{
    ask_cluster(call, call->path.count == 4 ? tell_brokers : tell_broker);
}

/* ---- paths ---- */

/* "*" stands for any segment. */
static const struct {
    const char *segments[PATH_SEGMENTS_MAX];
    void (*get)(const struct call *call);
    void (*post)(const struct call *call);
    void (*remove)(const struct call *call);
} paths[] = {
    { { "v3", "clusters" }, get_clusters, NULL, NULL },
    { { "v3", "clusters", "*" }, get_clusters, NULL, NULL },
    { { "v3", "clusters", "*", "brokers" }, get_brokers, NULL, NULL },
    { { "v3", "clusters", "*", "brokers", "*" }, get_brokers, NULL, NULL },
    { { "v3", "clusters", "*", "topics" }, v3_list_topics, v3_create_topic, NULL },
    { { "v3", "clusters", "*", "topics", "*" }, v3_get_topic, NULL, v3_delete_topic },
    { { "v3", "clusters", "*", "topics", "*", "records" }, NULL, v3_records, NULL },
    { { "v3", "clusters", "*", "topics", "*", "records:batch" }, NULL, v3_records, NULL },
    { { "v3", "clusters", "*", "topics", "*", "configs" }, v3_configs, NULL, NULL },
    { { "v3", "clusters", "*", "topics", "*", "configs", "*" }, v3_configs, NULL, NULL },
    { { "v3", "clusters", "*", "topics", "*", "partitions" }, v3_partitions, NULL, NULL },
    { { "v3", "clusters", "*", "topics", "*", "partitions", "*" }, v3_partitions, NULL, NULL },
    { { "v3", "clusters", "*", "topics", "*", "partitions", "*", "replicas" },
      v3_replicas,
      NULL,
      NULL },
    { { "v3", "clusters", "*", "topics", "*", "partitions", "*", "replicas", "*" },
      v3_replicas,
      NULL,
      NULL },
};

static bool
matches(const struct path *path, const char *const *segments)
{
    for (size_t i = 0; i < path->count; i++)
        if (segments[i] == NULL ||
            (strcmp(segments[i], "*") != 0 && !mr_slice_is_text(path->segments[i], segments[i])))
            return false;
    return path->count == PATH_SEGMENTS_MAX || segments[path->count] == NULL;
}

void
rest_v3_route(const struct call *call)
{
    size_t i = 0;
    while (i < MR_COUNT(paths) && !matches(&call->path, paths[i].segments))
        i++;
    if (i == MR_COUNT(paths)) {
        v3_refuse(call, 404,
                  "this path of v3 is not offered; /v3/clusters leads to those that are");
        return;
    }
    bool is_post = mr_slice_is_text(mr_http_method(call->request), "POST");
    void (*handle)(const struct call *call) = call->is_get      ? paths[i].get
                                              : is_post         ? paths[i].post
                                              : call->is_delete ? paths[i].remove
                                                                : NULL;
    if (handle == NULL)
        call_no_method(call, &rest_v3);
    else
        handle(call);
}

const struct dialect rest_v3 = {
    .name = DIALECT_NAME_REST,
    .wire = MILLRACE__V1__DIALECT__DIALECT_REST,
    .content_type = "application/json",
    .answer = v3_answer,
};
