/*
 * What belongs to a topic: its settings, its partitions, their replicas.
 */
#include "gateway/rest_v3.h"

#include <stdio.h>

enum { PART = 6, REPLICA = 8 }; /* segments of the path */

static void
put_text_or_null(struct mr_buf *body, const char *text)
{
    if (text != NULL)
        mr_buf_json(body, mr_slice_text(text));
    else
        mr_buf_text(body, "null");
}

static const char *
truth(bool is_true)
{
    return is_true ? "true" : "false";
}

/* ---- settings ---- */

static void
put_synonym(struct mr_buf *body, const struct mr_setting *synonym)
{
    mr_buf_text(body, "{\"name\":");
    mr_buf_json(body, mr_slice_text(synonym->name));
    mr_buf_text(body, ",\"value\":");
    put_text_or_null(body, synonym->value);
    mr_buf_printf(body, ",\"source\":\"%s\"}", synonym->source);
}

static void
put_setting(struct v3_page *page, const char *topic, const struct mr_setting *setting)
{
    struct mr_buf *body = &page->body;
    char path[V3_PATH_BYTES], crn[V3_PATH_BYTES];
    (void)snprintf(path, sizeof(path), "/topics/%s/configs/%s", topic, setting->name);
    (void)snprintf(crn, sizeof(crn), "/topic=%s/config=%s", topic, setting->name);
    v3_put_resource(page, "KafkaTopicConfig", path, crn);
    mr_buf_printf(body, ",\"topic_name\":\"%s\",\"name\":\"%s\",\"value\":", topic, setting->name);
    put_text_or_null(body, setting->value);
    mr_buf_printf(body,
                  ",\"is_default\":%s,\"is_read_only\":%s,\"is_sensitive\":%s,\"source\":\"%s\","
                  "\"synonyms\":[",
                  truth(setting->is_default), truth(setting->is_read_only),
                  truth(setting->is_sensitive), setting->source);
    for (size_t i = 0; i < setting->synonyms_count; i++) {
        if (i > 0)
            mr_buf_text(body, ",");
        put_synonym(body, &setting->synonyms[i]);
    }
    mr_buf_text(body, "]}");
}

static int
ask_settings(struct v3_question *question, struct mr_err *err)
{
    return mr_bus_settings(question->errand.bus, question->topic, &question->arena,
                           &question->settings, &question->count, V3_ASK_MS, err);
}

static void
tell_settings(struct v3_question *question)
{
    char path[V3_PATH_BYTES];
    struct v3_page page;
    v3_page_init(&page, &question->call, question->cluster);
    (void)snprintf(path, sizeof(path), "/topics/%s/configs", question->topic);
    v3_begin_list(&page, "KafkaTopicConfigList", path);
    for (size_t i = 0; i < question->count; i++) {
        if (i > 0)
            mr_buf_text(&page.body, ",");
        put_setting(&page, question->topic, &question->settings[i]);
    }
    v3_end_list(&page);
    v3_send(&page, &question->call, 200, NULL);
}

static void
tell_setting(struct v3_question *question)
{
    const char *name = v3_segment(&question->call, PART);
    size_t i = 0;
    while (i < question->count && strcmp(question->settings[i].name, name) != 0)
        i++;
    if (i == question->count) {
        v3_refuse(&question->call, 404, "Config %s of topic %s cannot be found", name,
                  question->topic);
        return;
    }
    struct v3_page page;
    v3_page_init(&page, &question->call, question->cluster);
    put_setting(&page, question->topic, &question->settings[i]);
    v3_send(&page, &question->call, 200, NULL);
}

void
v3_configs(const struct call *call)
{
    struct v3_question *question = v3_topic_question(call);
    if (question != NULL)
        v3_ask(question, ask_settings, call->path.count > PART ? tell_setting : tell_settings);
}

/* ---- partitions ---- */

static void
put_partition(struct v3_page *page, const struct v3_question *question, size_t number)
{
    char path[V3_PATH_BYTES], crn[V3_PATH_BYTES];
    int32_t leader = question->description.partitions[number].leader;
    (void)snprintf(path, sizeof(path), "/topics/%s/partitions/%zu", question->topic, number);
    (void)snprintf(crn, sizeof(crn), "/topic=%s/partition=%zu", question->topic, number);
    v3_put_resource(page, "KafkaPartition", path, crn);
    mr_buf_printf(&page->body, ",\"topic_name\":\"%s\",\"partition_id\":%zu", question->topic,
                  number);
    if (leader >= 0)
        v3_put_link(page, "leader", "%s/replicas/%d", path, (int)leader);
    v3_put_link(page, "replicas", "%s/replicas", path);
    v3_put_link(page, "reassignment", "%s/reassignment", path);
    mr_buf_text(&page->body, "}");
}

/* The partition that the path names, or NULL after a refusal. */
static const struct mr_partition *
named_partition(const struct v3_question *question)
{
    int64_t number = v3_number(question->call.path.segments[PART]);
    if (number >= 0 && (size_t)number < question->description.partitions_count)
        return &question->description.partitions[number];
    v3_refuse(&question->call, 404, "Partition %s of topic %s cannot be found",
              v3_segment(&question->call, PART), question->topic);
    return NULL;
}

static void
tell_partitions(struct v3_question *question)
{
    char path[V3_PATH_BYTES];
    struct v3_page page;
    v3_page_init(&page, &question->call, question->cluster);
    (void)snprintf(path, sizeof(path), "/topics/%s/partitions", question->topic);
    v3_begin_list(&page, "KafkaPartitionList", path);
    for (size_t i = 0; i < question->description.partitions_count; i++) {
        if (i > 0)
            mr_buf_text(&page.body, ",");
        put_partition(&page, question, i);
    }
    v3_end_list(&page);
    v3_send(&page, &question->call, 200, NULL);
}

static void
tell_partition(struct v3_question *question)
{
    const struct mr_partition *partition = named_partition(question);
    if (partition == NULL)
        return;
    struct v3_page page;
    v3_page_init(&page, &question->call, question->cluster);
    put_partition(&page, question, (size_t)(partition - question->description.partitions));
    v3_send(&page, &question->call, 200, NULL);
}

void
v3_partitions(const struct call *call)
{
    struct v3_question *question = v3_topic_question(call);
    if (question != NULL)
        v3_ask(question, v3_describe, call->path.count > PART ? tell_partition : tell_partitions);
}

/* ---- replicas ---- */

static void
put_replica(struct v3_page *page, const char *topic, const char *partition_path,
            const struct mr_partition *partition, size_t number, int32_t broker)
{
    char path[V3_PATH_BYTES + 32], crn[V3_PATH_BYTES];
    bool is_insync = false;
    for (size_t i = 0; i < partition->insync_count; i++)
        is_insync = is_insync || partition->insync[i] == broker;
    (void)snprintf(path, sizeof(path), "%s/replicas/%d", partition_path, (int)broker);
    (void)snprintf(crn, sizeof(crn), "/topic=%s/partition=%zu/replica=%d", topic, number,
                   (int)broker);
    v3_put_resource(page, "KafkaReplica", path, crn);
    mr_buf_printf(&page->body,
                  ",\"topic_name\":\"%s\",\"partition_id\":%zu,\"broker_id\":%d,\"is_leader\":%s,"
                  "\"is_in_sync\":%s",
                  topic, number, (int)broker, truth(broker == partition->leader), truth(is_insync));
    v3_put_link(page, "broker", "/brokers/%d", (int)broker);
    mr_buf_text(&page->body, "}");
}

static void
tell_replicas(struct v3_question *question)
{
    const struct mr_partition *partition = named_partition(question);
    if (partition == NULL)
        return;
    size_t number = (size_t)(partition - question->description.partitions);
    char path[V3_PATH_BYTES], list[V3_PATH_BYTES + 16];
    struct v3_page page;
    (void)snprintf(path, sizeof(path), "/topics/%s/partitions/%zu", question->topic, number);
    (void)snprintf(list, sizeof(list), "%s/replicas", path);
    v3_page_init(&page, &question->call, question->cluster);
    v3_begin_list(&page, "KafkaReplicaList", list);
    for (size_t i = 0; i < partition->replicas_count; i++) {
        if (i > 0)
            mr_buf_text(&page.body, ",");
        put_replica(&page, question->topic, path, partition, number, partition->replicas[i]);
    }
    v3_end_list(&page);
    v3_send(&page, &question->call, 200, NULL);
}

static void
tell_replica(struct v3_question *question)
{
    const struct mr_partition *partition = named_partition(question);
    if (partition == NULL)
        return;
    size_t number = (size_t)(partition - question->description.partitions), i = 0;
    int64_t broker = v3_number(question->call.path.segments[REPLICA]);
    while (i < partition->replicas_count && partition->replicas[i] != broker)
        i++;
    if (i == partition->replicas_count) {
        v3_refuse(&question->call, 404, "Replica %s of partition %zu of topic %s cannot be found",
                  v3_segment(&question->call, REPLICA), number, question->topic);
        return;
    }
    char path[V3_PATH_BYTES];
    struct v3_page page;
    (void)snprintf(path, sizeof(path), "/topics/%s/partitions/%zu", question->topic, number);
    v3_page_init(&page, &question->call, question->cluster);
    put_replica(&page, question->topic, path, partition, number, partition->replicas[i]);
    v3_send(&page, &question->call, 200, NULL);
}

void
v3_replicas(const struct call *call)
{
    struct v3_question *question = v3_topic_question(call);
    if (question != NULL)
        v3_ask(question, v3_describe, call->path.count > REPLICA ? tell_replica : tell_replicas);
}
