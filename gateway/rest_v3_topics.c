/*
 * Topics of v3: list, get, delete. The list is asked fresh, so that a topic that was just made is
 * in it, and holds what the principal may see.
 */
#include "gateway/rest_v3.h"

#include "gateway/topics.h"
#include "log/log.h"

#include <stdio.h>

static bool
is_internal(const char *topic)
{
    return strcmp(topic, "__consumer_offsets") == 0 || strcmp(topic, "__transaction_state") == 0;
}

void
v3_put_topic(struct v3_page *page, const char *name, size_t partitions, size_t replicas)
{
    char path[V3_PATH_BYTES], crn[V3_PATH_BYTES];
    (void)snprintf(path, sizeof(path), "/topics/%s", name);
    (void)snprintf(crn, sizeof(crn), "/topic=%s", name);
    v3_put_resource(page, "KafkaTopic", path, crn);
    mr_buf_printf(&page->body,
                  ",\"topic_name\":\"%s\",\"is_internal\":%s,\"replication_factor\":%zu,"
                  "\"partitions_count\":%zu",
                  name, is_internal(name) ? "true" : "false", replicas, partitions);
    v3_put_link(page, "partitions", "%s/partitions", path);
    v3_put_link(page, "configs", "%s/configs", path);
    v3_put_link(page, "partition_reassignments", "%s/partitions/-/reassignment", path);
    mr_buf_text(&page->body, "}");
}

/* ---- list ---- */

static int
ask_list(struct v3_question *question, struct mr_err *err)
{
    return mr_bus_topics(question->errand.bus, &question->topics, &question->count, V3_ASK_MS, err);
}

static void
tell_list(struct v3_question *question)
{
    const struct call *call = &question->call;
    struct v3_page page;
    bool is_first = true;
    v3_page_init(&page, call, question->cluster);
    v3_begin_list(&page, "KafkaTopicList", "/topics");
    for (size_t i = 0; i < question->count; i++) {
        const struct mr_topic *topic = &question->topics[i];
        if (!v3_may_see(call, topic->name))
            continue;
        if (!is_first)
            mr_buf_text(&page.body, ",");
        is_first = false;
        v3_put_topic(&page, topic->name, (size_t)topic->partitions, (size_t)topic->replicas);
    }
    v3_end_list(&page);
    v3_send(&page, call, 200, NULL);
}

void
v3_list_topics(const struct call *call)
{
    v3_ask(v3_question(call), ask_list, tell_list);
}

/* ---- get ---- */

static void
tell_topic(struct v3_question *question)
{
    const struct mr_description *seen = &question->description;
    struct v3_page page;
    v3_page_init(&page, &question->call, question->cluster);
    v3_put_topic(&page, question->topic, seen->partitions_count,
                 seen->partitions_count > 0 ? seen->partitions[0].replicas_count : 0);
    v3_send(&page, &question->call, 200, NULL);
}

void
v3_get_topic(const struct call *call)
{
    struct v3_question *question = v3_topic_question(call);
    if (question != NULL)
        v3_ask(question, v3_describe, tell_topic);
}

/* ---- delete ---- */

static int
ask_delete(struct v3_question *question, struct mr_err *err)
{
    return mr_bus_delete(question->errand.bus, question->topic, V3_ASK_MS, err);
}

static void
tell_deleted(struct v3_question *question)
{
    const struct call *call = &question->call;
    struct mr_topic_name name;
    bool is_ours = mr_topic_parse(question->topic, &name) &&
                   topics_kind_known(admit_topics(call->gateway->admit), name.kind);
    mr_log(MR_LOG_WARN, is_ours ? "pipeline-topic-deleted" : "topic-deleted",
           " topic=%s principal=%s", question->topic,
           mr_log_quote(mr_slice_text(principal_name(call->who))));
    reply_send(call->gateway->replies, call->request, &rest_v3,
               &(struct mr_http_reply){ .status = 204 });
}

/* The raw topic of a pipeline may go, by a principal who administrates it: its events are in the
 * archive. What is made under its name later is another topic, which archive and tables that know
 * the old one refuse to take for it (LAW 2); they want another store path. The topics behind it are
 * the pipeline's own: without one of them its stages stand still. */
void
v3_delete_topic(const struct call *call)
{
    struct mr_topic_name name;
    const char *topic = v3_segment(call, V3_TOPIC);
    if (!guard_may(call->who, RIGHT_ADMIN, topic)) {
        v3_refuse(call, 40301, "%s may not delete topic %s", principal_name(call->who), topic);
        return;
    }
    if (!v3_check_name(call, topic))
        return;
    if (mr_topic_parse(topic, &name) && name.role != MR_TOPIC_RAW) {
        v3_refuse(call, 40002,
                  "Topic %s is written by the pipeline of %s.%s, which would stand still without "
                  "it; it is not deleted here",
                  topic, name.tenant, name.kind);
        return;
    }
    struct v3_question *question = v3_question(call);
    question->topic = topic;
    v3_ask(question, ask_delete, tell_deleted);
}
