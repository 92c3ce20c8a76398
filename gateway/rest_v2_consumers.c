/*
 * /consumers/{group} and what stands below: from the path to a task of the instance. What an
 * instance is subscribed to is known here; where it stands only its thread knows.
 */
#include "gateway/rest_v2_body.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

enum { GROUP_BYTES_MAX = 249, NAME_BYTES = 64, PATTERN_BYTES_MAX = 1024 };

/* ---- making one ---- */

static void
put_encoded(struct mr_buf *buf, struct mr_slice text, bool with_slash)
{
    const unsigned char *bytes = text.data;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = bytes[i];
        bool is_plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                        (byte >= '0' && byte <= '9') || strchr("-._~", byte) != NULL;
        if (byte != 0 && (is_plain || (with_slash && byte == '/')))
            mr_buf_put(buf, &bytes[i], 1);
        else
            mr_buf_printf(buf, "%%%02X", byte);
    }
}

/* As the client came here: its host, and the stage that stood before the path. */
static void
put_base_uri(struct mr_buf *buf, const struct call *call, const struct instance *instance)
{
    struct mr_slice path = mr_http_path(call->request);
    struct mr_slice host = mr_http_header(call->request, "host");
    struct mr_slice scheme = mr_http_header(call->request, "x-forwarded-proto");
    const char *text = path.data, *end = text + path.size, *stop = text;
    bool is_tls = mr_http_is_tls(call->request) || mr_slice_is_text(scheme, "https");
    if (path.size < 11 || memcmp(text, "/consumers/", 11) != 0)
        stop = memchr(text + 1, '/', (size_t)(end - text - 1));
    if (host.size > 0) { /* a client of HTTP/1.0 need not name it */
        mr_buf_text(buf, is_tls ? "https://" : "http://");
        mr_buf_put(buf, host.data, host.size);
    }
    put_encoded(buf, mr_slice(text, (size_t)(stop - text)), true);
    mr_buf_text(buf, "/consumers/");
    put_encoded(buf, mr_slice_text(instance->group), false);
    mr_buf_text(buf, "/instances/");
    put_encoded(buf, mr_slice_text(instance->name), false);
}

static void
show_made(const struct call *call, const struct dialect *as, const struct instance *instance)
{
    struct mr_buf uri, body;
    mr_buf_init(&uri, REPLY_JSON_BYTES_MAX);
    mr_buf_init(&body, REPLY_JSON_BYTES_MAX);
    put_base_uri(&uri, call, instance);
    mr_buf_text(&body, "{\"instance_id\":");
    mr_buf_json(&body, mr_slice_text(instance->name));
    mr_buf_text(&body, ",\"base_uri\":");
    mr_buf_json(&body, mr_buf_slice(&uri));
    mr_buf_text(&body, "}");
    reply_json(call->gateway->replies, call->request, as, 200, mr_buf_slice(&body));
    mr_buf_fini(&uri);
    mr_buf_fini(&body);
}

/* The processes of the pipeline read in groups of this name and a dot; a stranger among them would
 * take their events away. */
static bool
is_own_group(const struct call *call, const char *group)
{
    const char *pipeline = call->gateway->pipeline;
    size_t size = pipeline != NULL ? strlen(pipeline) : 0;
    return size > 0 && strncmp(group, pipeline, size) == 0 && group[size] == '.';
}

static bool
check_group(const struct call *call, const struct dialect *as, const char *group)
{
    struct replies *replies = call->gateway->replies;
    if (strlen(group) > GROUP_BYTES_MAX)
        reply_fault(replies, call->request, as, FAULT_CONFIG,
                    "Invalid consumer configuration: the group has more than %d bytes",
                    GROUP_BYTES_MAX);
    else if (is_own_group(call, group))
        reply_fault(replies, call->request, as, FAULT_DENIED,
                    "group %s belongs to the pipeline itself; take another name", group);
    else if (!guard_may(call->who, RIGHT_CONSUME, NULL))
        reply_fault(replies, call->request, as, FAULT_DENIED, "%s may not consume",
                    principal_name(call->who));
    else
        return true;
    return false;
}

static enum fault
fault_of(const struct mr_err *err)
{
    switch (err->code) {
    case MR_E(INVALID):
        return FAULT_CONFIG;
    case MR_E(UNSUPPORTED):
        return FAULT_ENVELOPE;
    case MR_E(EXISTS):
        return FAULT_INSTANCE_EXISTS;
    case MR_E(FULL):
        return FAULT_INSTANCES;
    default:
        return FAULT_DOWN;
    }
}

static void
make(const struct call *call, const struct dialect *as, const char *group)
{
    char name[NAME_BYTES] = "rest-consumer-";
    struct wish wish;
    struct mr_err err = { 0 };
    struct instance *instance = NULL;
    MR_CLEANUP(rest_v2_json_freep) json_t *body = NULL;
    if (!check_group(call, as, group) || rest_v2_body(call, as, &body) != 0)
        return;
    mr_uuid_text(name + strlen(name));
    int code = rest_v2_wish(body, &wish, &err);
    wish.options.group = group;
    if (code == 0)
        code = consumers_add(call->gateway->consumers, wish.name != NULL ? wish.name : name,
                             call->who, &wish.options, &instance, &err);
    if (code != 0) {
        reply_fault(call->gateway->replies, call->request, as, fault_of(&err), "%s", err.text);
        return;
    }
    instance->timeout_ms_max = wish.timeout_ms;
    show_made(call, as, instance);
}

static void
end(const struct call *call, const struct dialect *as, struct instance *instance)
{
    if (task_start(task_new(call, as, instance), task_leave))
        instance_end(instance);
}

/* ---- subscription ---- */

static bool
may_read(const struct call *call, const struct dialect *as, const char *topic)
{
    if (guard_may(call->who, RIGHT_CONSUME, topic))
        return true;
    reply_fault(call->gateway->replies, call->request, as, FAULT_DENIED, "%s may not read topic %s",
                principal_name(call->who), topic);
    return false;
}

static void
refuse(struct task *task, enum fault fault, const char *text)
{
    reply_fault(task->replies, task->request, task->as, fault, "%s", text);
    task_free(task);
}

/* The proxy's patterns match whole names. NULL: it is no extended regular expression. */
static const char *
pattern_of(const char *text, struct mr_arena *arena)
{
    regex_t regex;
    MR_CLEANUP(mr_freep) char *whole = mr_printf("^(%s)$", text);
    if (strlen(text) > PATTERN_BYTES_MAX || regcomp(&regex, whole, REG_EXTENDED | REG_NOSUB) != 0)
        return NULL;
    regfree(&regex);
    return mr_arena_copy(arena, whole, strlen(whole));
}

/* False: it was refused, and the task is gone. */
static bool
take_topics(const struct call *call, const json_t *topics, struct task *task)
{
    size_t count = json_array_size(topics), i;
    const json_t *topic;
    task->topics = mr_arena_alloc(&task->arena, (count + 1) * sizeof(*task->topics));
    task->count = count;
    if (count == 0 || count > BODY_TOPICS_MAX) {
        refuse(task, FAULT_ENVELOPE, "\"topics\" must be a list of 1 to 256 names");
        return false;
    }
    json_array_foreach(topics, i, topic)
    {
        const char *name = json_string_value(topic);
        if (name == NULL || *name == '\0' || strlen(name) > MR_BUS_TOPIC_MAX || *name == '^') {
            refuse(task, FAULT_ENVELOPE, "\"topics\" holds what is no name of a topic");
            return false;
        }
        if (!may_read(call, task->as, name)) {
            task_free(task);
            return false;
        }
        task->topics[i] = mr_arena_copy(&task->arena, name, strlen(name));
    }
    return true;
}

static bool
take_subscription(const struct call *call, const json_t *body, struct task *task)
{
    const json_t *topics = json_object_get(body, "topics");
    const char *pattern = json_string_value(json_object_get(body, "topic_pattern"));
    if (topics != NULL && pattern != NULL) {
        refuse(task, FAULT_STATE,
               "Subscription to topics, partitions and pattern are mutually "
               "exclusive: send \"topics\" or \"topic_pattern\"");
        return false;
    }
    if (json_is_array(topics))
        return take_topics(call, topics, task);
    if (pattern == NULL) {
        refuse(task, FAULT_ENVELOPE,
               "send {\"topics\":[\"<tenant>.<kind>\"]} or {\"topic_pattern\":\"..\"}");
        return false;
    }
    task->topics = mr_arena_alloc(&task->arena, sizeof(*task->topics));
    task->topics[0] = pattern_of(pattern, &task->arena);
    task->count = 1;
    if (task->topics[0] != NULL)
        return true;
    refuse(task, FAULT_ENVELOPE, "\"topic_pattern\" is no POSIX extended regular expression");
    return false;
}

static bool
is_pattern(const struct instance *instance)
{
    return instance->subscribed != NULL && instance->subscribed[0] == '^';
}

/* The names, each ended by a newline, which no name has; or the pattern. */
static char *
text_of(const struct task *task)
{
    struct mr_buf text;
    mr_buf_init(&text, REPLY_JSON_BYTES_MAX);
    for (size_t i = 0; i < task->count; i++) {
        mr_buf_text(&text, task->topics[i]);
        if (task->topics[0][0] != '^')
            mr_buf_text(&text, "\n");
    }
    return text.data;
}

static void
subscribe(const struct call *call, const struct dialect *as, struct instance *instance)
{
    MR_CLEANUP(rest_v2_json_freep) json_t *body = NULL;
    if (rest_v2_body(call, as, &body) != 0)
        return;
    struct task *task = task_new(call, as, instance);
    if (!take_subscription(call, body, task))
        return;
    bool will_be_pattern = task->topics[0][0] == '^';
    if (instance->is_assigned ||
        (instance->subscribed != NULL && is_pattern(instance) != will_be_pattern)) {
        refuse(task, FAULT_STATE,
               "Subscription to topics, partitions and pattern are mutually exclusive: DELETE the "
               "subscription first");
        return;
    }
    char *text = text_of(task);
    task->sets_wish = true;
    if (task_start(task, task_subscribe)) {
        free(instance->subscribed);
        instance->subscribed = text;
    } else {
        free(text);
    }
}

static void
unsubscribe(const struct call *call, const struct dialect *as, struct instance *instance)
{
    if (!task_start(task_new(call, as, instance), task_leave))
        return;
    free(instance->subscribed);
    instance->subscribed = NULL;
    instance->is_assigned = false;
}

static void
put_matches(struct mr_buf *body, const struct call *call, const char *pattern)
{
    regex_t regex;
    size_t count;
    bool is_first = true;
    const struct mr_topic *topics = topics_list(admit_topics(call->gateway->admit), &count);
    int failed = regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB);
    MR_ASSERT(failed == 0);
    for (size_t i = 0; i < count; i++) {
        if (regexec(&regex, topics[i].name, 0, NULL, 0) != 0 ||
            !guard_may(call->who, RIGHT_CONSUME, topics[i].name))
            continue;
        mr_buf_text(body, is_first ? "" : ",");
        mr_buf_json(body, mr_slice_text(topics[i].name));
        is_first = false;
    }
    regfree(&regex);
}

static void
show_subscription(const struct call *call, const struct dialect *as, struct instance *instance)
{
    struct mr_buf body;
    const char *at = instance->subscribed != NULL ? instance->subscribed : "";
    mr_buf_init(&body, REPLY_JSON_BYTES_MAX);
    mr_buf_text(&body, "{\"topics\":[");
    if (is_pattern(instance))
        put_matches(&body, call, at);
    while (!is_pattern(instance) && *at != '\0') {
        const char *stop = strchr(at, '\n');
        mr_buf_text(&body, at != instance->subscribed ? "," : "");
        mr_buf_json(&body, mr_slice(at, (size_t)(stop - at)));
        at = stop + 1;
    }
    mr_buf_text(&body, "]}");
    MR_ASSERT(!body.failed);
    reply_json(call->gateway->replies, call->request, as, 200, mr_buf_slice(&body));
    mr_buf_fini(&body);
}

/* ---- partitions, positions, offsets ---- */

/* NULL: it was answered. */
static struct task *
places_task(const struct call *call, const struct dialect *as, struct instance *instance,
            bool has_offsets)
{
    struct mr_err err = { 0 };
    MR_CLEANUP(rest_v2_json_freep) json_t *body = NULL;
    if (rest_v2_body(call, as, &body) != 0)
        return NULL;
    struct task *task = task_new(call, as, instance);
    if (body == NULL && call->is_post && call_segment_is(call, 4, "offsets"))
        return task;
    if (rest_v2_places(body, has_offsets, task, &err) != 0) {
        refuse(task, FAULT_ENVELOPE, err.text);
        return NULL;
    }
    for (size_t i = 0; i < task->count; i++) {
        if (!may_read(call, as, task->places[i].topic)) {
            task_free(task);
            return NULL;
        }
    }
    return task;
}

static void
assign(const struct call *call, const struct dialect *as, struct instance *instance)
{
    struct task *task = places_task(call, as, instance, false);
    if (task == NULL)
        return;
    if (instance->subscribed != NULL) {
        refuse(task, FAULT_STATE,
               "Subscription to topics, partitions and pattern are mutually exclusive: DELETE the "
               "subscription first");
        return;
    }
    task->sets_wish = true;
    instance->is_assigned = task_start(task, task_assign) || instance->is_assigned;
}

static void
seek(const struct call *call, const struct dialect *as, struct instance *instance)
{
    bool has_offsets = call->path.count == 5;
    struct task *task = places_task(call, as, instance, has_offsets);
    if (task == NULL)
        return;
    task->seek = has_offsets                             ? SEEK_OFFSET
                 : call_segment_is(call, 5, "beginning") ? SEEK_BEGINNING
                                                         : SEEK_END;
    (void)task_start(task, task_seek);
}

static void
commit(const struct call *call, const struct dialect *as, struct instance *instance)
{
    struct task *task = places_task(call, as, instance, true);
    if (task != NULL)
        (void)task_start(task, task_commit);
}

static void
show_committed(const struct call *call, const struct dialect *as, struct instance *instance)
{
    struct task *task = places_task(call, as, instance, false);
    if (task != NULL)
        (void)task_start(task, task_show_committed);
}

static void
show_parts(const struct call *call, const struct dialect *as, struct instance *instance)
{
    (void)task_start(task_new(call, as, instance), task_show_parts);
}

/* ---- records ---- */

/* The value of a parameter, or -1: none, or not above 0; -2: it is no number. */
static int64_t
limit_of(struct mr_http_request *request, const char *name)
{
    struct mr_slice text = mr_http_param(request, name);
    char *stop = NULL;
    if (text.size == 0)
        return -1;
    int64_t number = strtoll(text.data, &stop, 10);
    if (stop != (const char *)text.data + text.size)
        return -2;
    return number > 0 ? number : -1;
}

static void
read_records(const struct call *call, const struct dialect *as, struct instance *instance)
{
    int64_t timeout_ms = limit_of(call->request, "timeout");
    int64_t bytes = limit_of(call->request, "max_bytes");
    if (timeout_ms == -2 || bytes == -2) {
        reply_fault(call->gateway->replies, call->request, as, FAULT_ENVELOPE,
                    "%s must be a number", timeout_ms == -2 ? "timeout" : "max_bytes");
        return;
    }
    struct task *task = task_new(call, as, instance);
    bool is_shorter = timeout_ms > 0 && timeout_ms < instance->timeout_ms_max;
    bool is_less = bytes > 0 && bytes < CONSUMER_BYTES_MAX;
    task->reading.timeout_ms = is_shorter ? (int)timeout_ms : instance->timeout_ms_max;
    task->reading.bytes_max = is_less ? bytes : CONSUMER_BYTES_MAX;
    (void)task_start(task, task_read);
}

/* ---- the way in ---- */

typedef void deed_function(const struct call *call, const struct dialect *as,
                           struct instance *instance);

static void
show_nothing(const struct call *call, const struct dialect *as, struct instance *instance)
{
    (void)instance;
    reply_fault(call->gateway->replies, call->request, as, FAULT_ROUTE,
                "there is nothing at this path of a consumer instance; it has subscription, "
                "assignments, positions, positions/beginning, positions/end, records and offsets");
}

static void
no_method(const struct call *call, const struct dialect *as, struct instance *instance)
{
    (void)instance;
    call_no_method(call, as);
}

static deed_function *
find_deed(const struct call *call)
{
    static const struct {
        const char *noun;
        deed_function *get, *post, *remove;
    } nouns[] = {
        { "subscription", show_subscription, subscribe, unsubscribe },
        { "assignments", show_parts, assign, no_method },
        { "positions", no_method, seek, no_method },
        { "records", read_records, no_method, no_method },
        { "offsets", show_committed, commit, no_method },
    };
    bool is_edge = call->path.count == 6 && call_segment_is(call, 4, "positions") &&
                   (call_segment_is(call, 5, "beginning") || call_segment_is(call, 5, "end"));
    if (call->path.count == 4)
        return call->is_delete ? end : no_method;
    for (size_t i = 0; i < MR_COUNT(nouns); i++)
        if (call_segment_is(call, 4, nouns[i].noun) && (call->path.count == 5 || is_edge))
            return call->is_get      ? nouns[i].get
                   : call->is_post   ? nouns[i].post
                   : call->is_delete ? nouns[i].remove
                                     : no_method;
    return show_nothing;
}

static const char *
segment_text(const struct call *call, size_t i)
{
    struct mr_slice segment = call->path.segments[i];
    return mr_arena_copy(mr_http_arena(call->request), segment.data, segment.size);
}

static void
route_instance(const struct call *call)
{
    const char *group = segment_text(call, 1), *name = segment_text(call, 3);
    struct instance *instance = consumers_find(call->gateway->consumers, group, name, call->who);
    deed_function *deed = find_deed(call);
    const struct dialect *as = deed == read_records && instance != NULL
                                   ? rest_v2_negotiate_records(call, instance->options.is_json)
                                   : rest_v2_negotiate(call);
    if (as == NULL)
        return;
    if (instance == NULL)
        reply_fault(call->gateway->replies, call->request, as, FAULT_INSTANCE,
                    "Consumer instance not found: there is no %s in group %s; it may have been "
                    "deleted, have expired, or live on another gateway",
                    name, group);
    else
        deed(call, as, instance);
}

void
rest_v2_consumers_route(const struct call *call)
{
    const struct path *path = &call->path;
    if (path->count >= 4 && path->count <= 6 && call_segment_is(call, 2, "instances")) {
        route_instance(call);
        return;
    }
    const struct dialect *as = rest_v2_negotiate(call);
    if (as == NULL)
        return;
    if (path->count == 2 && call->is_post)
        make(call, as, segment_text(call, 1));
    else if (path->count == 2)
        call_no_method(call, as);
    else
        reply_fault(call->gateway->replies, call->request, as, FAULT_ROUTE,
                    "there is nothing at this path; POST to /consumers/<group> makes a consumer "
                    "instance");
}
