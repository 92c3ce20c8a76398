/*
 * Every two seconds an errand lists the cluster's topics: that is the list that clients see, the
 * proof that the broker can be reached, and the moment to check one topic's durability.
 */
#include "gateway/topics.h"

#include "clock/clock.h"
#include "gateway/spread.h"
#include "log/log.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    BUCKETS = 256,
    TOPICS_MAX = 100000,
    MAKINGS_MAX = 32,
    LOOK_EVERY_MS = 2000,
    LOOK_TIMEOUT_MS = 2000,
    UNREACHABLE_MS = 4500, /* readiness must turn within 5 s */
    MAKE_TIMEOUT_MS = 8000,
    SPREAD_FRESH_MS = 3600000, /* far below what brokers keep an offset for */
    MADE_KEPT_MS = 2000,       /* a failure is told to all who waited, then tried again */
    PATH_BYTES = 4096,
};

struct look {
    struct errand errand;
    struct topics *topics;
    char check[MR_BUS_TOPIC_MAX + 1]; /* topic whose durability is asked; "": none */
    int min_insync;
    const char *cluster;
    struct mr_topic *list;
    size_t count;
};

struct making {
    struct errand errand;
    struct topics *topics;
    const struct mr_plan *plan;
    struct mr_topic_name name;
    char topic[MR_BUS_TOPIC_MAX + 1]; /* "": this place is free */
    struct mr_topic *list;            /* with the new ones; NULL: could not be had */
    size_t count;
    bool is_done;
    int64_t done_ms;
};

struct spreading {
    struct errand errand;
    struct topic *topic;
    int present, found;
};

struct topics {
    struct topics_options options;
    struct topic *buckets[BUCKETS];
    size_t count, weak;
    struct making makings[MAKINGS_MAX];
    struct look look;
    bool is_looking;
    int64_t look_next_ms, reached_ms;
    struct mr_topic *list; /* NULL: not seen yet */
    size_t list_count;
    const char *cluster; /* NULL: not asked yet */
};

/* ---- on the thread of the errands ---- */

static int
run_look(struct mr_job *job, struct mr_err *err)
{
    struct look *look = (struct look *)job;
    char value[32];
    look->list = NULL;
    look->min_insync = 0;
    if (mr_bus_cluster_id(look->errand.bus, &look->cluster, LOOK_TIMEOUT_MS, err) != 0)
        return err->code;
    int code = mr_bus_topics(look->errand.bus, &look->list, &look->count, LOOK_TIMEOUT_MS, err);
    if (code != 0 || look->check[0] == '\0')
        return code;
    struct mr_err unknown = { 0 };
    if (mr_bus_setting(look->errand.bus, look->check, "min.insync.replicas", value, sizeof(value),
                       LOOK_TIMEOUT_MS, &unknown) == 0)
        look->min_insync = (int)strtol(value, NULL, 10);
    return 0;
}

static int
run_making(struct mr_job *job, struct mr_err *err)
{
    struct making *making = (struct making *)job;
    struct mr_err unknown = { 0 };
    if (mr_plan_make(making->plan, making->errand.bus, making->name.tenant, making->name.kind,
                     MAKE_TIMEOUT_MS, err) != 0)
        return err->code;
    (void)mr_bus_topics(making->errand.bus, &making->list, &making->count, LOOK_TIMEOUT_MS,
                        &unknown);
    return 0;
}

static int
run_spreading(struct mr_job *job, struct mr_err *err)
{
    struct spreading *spreading = (struct spreading *)job;
    return spread_recorded(spreading->errand.bus, spreading->topic->name, spreading->present,
                           &spreading->found, MAKE_TIMEOUT_MS, err);
}

static void
finish_spreading(struct errand *errand)
{
    struct spreading *spreading = (struct spreading *)errand;
    struct topic *topic = spreading->topic;
    topic->is_spread_asked = false;
    topic->spread_ms = mr_now_ms();
    if (errand->job.result == 0)
        topic->spread = spreading->found;
    else
        mr_log_err(MR_LOG_WARN, "spread-not-known", &errand->job.err, " topic=%s", topic->name);
    free(spreading);
}

bool
topics_know_spread(struct topics *topics, struct topic *topic)
{
    struct mr_err unknown = { 0 };
    bool is_known = topic->spread > 0;
    if (topic->is_spread_asked || (is_known && mr_now_ms() < topic->spread_ms + SPREAD_FRESH_MS))
        return is_known;
    struct spreading *spreading = mr_alloc(sizeof(*spreading));
    *spreading =
        (struct spreading){ .errand = { .job.run = run_spreading, .finish = finish_spreading },
                            .topic = topic,
                            .present = is_known ? topic->spread : topic->partitions };
    topic->is_spread_asked =
        errands_submit(topics->options.errands, &spreading->errand, &unknown) == 0;
    if (!topic->is_spread_asked)
        free(spreading);
    return is_known;
}

/* ---- open, step ---- */

struct topics *
topics_open(const struct topics_options *options)
{
    MR_ASSERT(options->plan != NULL);
    struct topics *topics = mr_alloc(sizeof(*topics));
    topics->options = *options;
    topics->reached_ms = INT64_MIN / 2;
    return topics;
}

void
topics_close(struct topics *topics)
{
    if (topics == NULL)
        return;
    free(topics->look.list);
    free(topics->list);
    for (size_t i = 0; i < BUCKETS; i++) {
        while (topics->buckets[i] != NULL) {
            struct topic *topic = topics->buckets[i];
            topics->buckets[i] = topic->next;
            free(topic);
        }
    }
    free(topics);
}

static struct topic **
bucket_of(struct topics *topics, const char *name)
{
    return &topics->buckets[mr_hash64(name, strlen(name), 0) % BUCKETS];
}

static struct topic *
find(struct topics *topics, const char *name)
{
    struct topic *topic = *bucket_of(topics, name);
    while (topic != NULL && strcmp(topic->name, name) != 0)
        topic = topic->next;
    return topic;
}

const struct mr_topic *
topics_find(const struct topics *topics, const char *name)
{
    for (size_t i = 0; i < topics->list_count; i++)
        if (strcmp(topics->list[i].name, name) == 0)
            return &topics->list[i];
    return NULL;
}

/* LAW 23. */
static void
check_durability(struct topics *topics, const struct look *look)
{
    const struct mr_plan *plan = topics->options.plan;
    const struct mr_topic *listed = topics_find(topics, look->check);
    const char *wish = mr_plan_setting(plan, MR_TOPIC_RAW, "min.insync.replicas");
    if (listed == NULL || look->min_insync == 0)
        return;
    int insync = wish != NULL ? (int)strtol(wish, NULL, 10) : 1;
    if (listed->replicas >= mr_plan_replicas(plan) && look->min_insync >= insync)
        return;
    topics->weak++;
    mr_log(MR_LOG_WARN, "topic-less-durable-than-planned",
           " topic=%s replicas=%d planned=%d min_insync=%d planned_min_insync=%d", look->check,
           listed->replicas, mr_plan_replicas(plan), look->min_insync, insync);
}

static void
note_id(struct topic *topic, const uint8_t id[MR_TOPIC_ID_BYTES])
{
    static const uint8_t none[MR_TOPIC_ID_BYTES];
    if (memcmp(topic->id, none, sizeof(none)) != 0 && memcmp(topic->id, id, sizeof(none)) != 0) {
        topic->incarnation++;
        topic->spread = 0;
    }
    memcpy(topic->id, id, sizeof(topic->id));
}

void
topics_take_list(struct topics *topics, struct mr_topic *list, size_t count)
{
    free(topics->list);
    topics->list = list;
    topics->list_count = count;
    for (size_t i = 0; i < topics->list_count; i++) {
        struct topic *topic = find(topics, topics->list[i].name);
        if (topic != NULL)
            note_id(topic, topics->list[i].id);
    }
}

static void
finish_look(struct errand *errand)
{
    struct look *look = (struct look *)errand;
    struct topics *topics = look->topics;
    topics->is_looking = false;
    topics->look_next_ms = mr_now_ms() + LOOK_EVERY_MS;
    if (errand->job.result != 0)
        return;
    topics->reached_ms = mr_now_ms();
    topics_take_list(topics, MR_TAKE(look->list), look->count);
    topics->cluster = look->cluster;
    if (look->check[0] != '\0')
        check_durability(topics, look);
}

static void
finish_making(struct errand *errand)
{
    struct making *making = (struct making *)errand;
    struct topics *topics = making->topics;
    making->is_done = true;
    making->done_ms = mr_now_ms();
    if (making->list != NULL)
        topics_take_list(topics, MR_TAKE(making->list), making->count);
    if (errand->job.result == 0)
        mr_log(MR_LOG_INFO, "topic-made", " topic=%s", making->topic);
    else
        mr_log_err(MR_LOG_WARN, "topic-not-made", &errand->job.err, " topic=%s", making->topic);
}

static void
pick_check(struct topics *topics)
{
    topics->look.check[0] = '\0';
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct topic *topic = topics->buckets[i]; topic != NULL; topic = topic->next) {
            if (topic->durability_checked || topics_find(topics, topic->name) == NULL)
                continue;
            topic->durability_checked = true;
            memcpy(topics->look.check, topic->name, sizeof(topic->name));
            return;
        }
    }
}

static void
start_look(struct topics *topics)
{
    struct mr_err err = { 0 };
    if (topics->is_looking || mr_now_ms() < topics->look_next_ms)
        return;
    pick_check(topics);
    topics->look.errand = (struct errand){ .job.run = run_look, .finish = finish_look };
    topics->look.topics = topics;
    topics->is_looking = errands_submit(topics->options.errands, &topics->look.errand, &err) == 0;
}

void
topics_step(struct topics *topics)
{
    MR_ASSERT(topics != NULL);
    for (size_t i = 0; i < MAKINGS_MAX; i++) {
        struct making *making = &topics->makings[i];
        if (making->is_done && mr_now_ms() >= making->done_ms + MADE_KEPT_MS)
            *making = (struct making){ 0 };
    }
    start_look(topics);
}

/* ---- looking up ---- */

bool
topics_kind_known(const struct topics *topics, const char *kind)
{
    char path[PATH_BYTES];
    struct stat status;
    if (!mr_kind_ok(mr_slice_text(kind)))
        return false;
    int size = snprintf(path, sizeof(path), "%s/%s", topics->options.kinds, kind);
    return size > 0 && (size_t)size < sizeof(path) && stat(path, &status) == 0 &&
           S_ISDIR(status.st_mode);
}

void
topics_kinds(const struct topics *topics, struct mr_buf *ret_text)
{
    struct dirent **entries = NULL;
    int count = scandir(topics->options.kinds, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (topics_kind_known(topics, entries[i]->d_name)) {
            mr_buf_text(ret_text, ret_text->size > 0 ? ", " : "");
            mr_buf_text(ret_text, entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
}

static struct topic *
add(struct topics *topics, const char *name)
{
    struct mr_topic_name parts = { 0 };
    struct topic **bucket = bucket_of(topics, name);
    struct topic *topic = mr_alloc(sizeof(*topic));
    if (!mr_topic_parse(name, &parts)) /* not of a pipeline: counted under no tenant */
        (void)snprintf(parts.kind, sizeof(parts.kind), "other");
    const char *in[] = { "gateway", parts.tenant, parts.kind, "in" };
    const char *good[] = { "gateway", parts.tenant, parts.kind, "good" };
    (void)snprintf(topic->name, sizeof(topic->name), "%s", name);
    topic->in = mr_metrics_cell(topics->options.metrics, "millrace_events_total", in);
    topic->good = mr_metrics_cell(topics->options.metrics, "millrace_events_total", good);
    const struct mr_topic *listed = topics_find(topics, name);
    if (listed != NULL)
        note_id(topic, listed->id);
    topic->next = *bucket;
    *bucket = topic;
    topics->count++;
    return topic;
}

bool
topics_name_ok(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size <= MR_BUS_TOPIC_MAX && strncmp(name, "__", 2) != 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               size &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static enum lookup
start_making(struct topics *topics, const struct mr_topic_name *parts, const char *name)
{
    struct mr_err err = { 0 };
    struct making *making = topics->makings;
    while (making < topics->makings + MAKINGS_MAX && making->topic[0] != '\0')
        making++;
    if (making == topics->makings + MAKINGS_MAX)
        return LOOKUP_WAIT;
    *making = (struct making){ .errand = { .job.run = run_making, .finish = finish_making },
                               .topics = topics,
                               .plan = topics->options.plan,
                               .name = *parts };
    (void)snprintf(making->topic, sizeof(making->topic), "%s", name);
    if (errands_submit(topics->options.errands, &making->errand, &err) != 0)
        *making = (struct making){ 0 };
    return LOOKUP_WAIT;
}

/* Who was told that an event is stored will ask for its topic next, which must be listed then. */
static bool
is_being_made(const struct topics *topics, const char *name)
{
    for (size_t i = 0; i < MAKINGS_MAX; i++)
        if (!topics->makings[i].is_done && strcmp(topics->makings[i].topic, name) == 0)
            return true;
    return false;
}

/* The topic does not exist; perhaps it can be made. */
static enum lookup
look_missing(struct topics *topics, const char *name, struct mr_err *err)
{
    struct mr_topic_name parts;
    for (size_t i = 0; i < MAKINGS_MAX; i++) {
        const struct making *making = &topics->makings[i];
        if (strcmp(making->topic, name) != 0)
            continue;
        if (!making->is_done || making->errand.job.result == 0)
            return LOOKUP_WAIT;
        *err = making->errand.job.err;
        return err->remedy == MR_RETRY ? LOOKUP_WAIT : LOOKUP_REFUSED;
    }
    if (!mr_topic_parse(name, &parts)) {
        (void)mr_fail(err, MR_E(NOT_FOUND), MR_REJECT,
                      "Topic %s not found; a topic is named <tenant>.<kind>, such as a1b2c3.pin",
                      name);
        return LOOKUP_UNKNOWN;
    }
    bool is_known = topics_kind_known(topics, parts.kind);
    if (topics->options.auto_topics && is_known)
        return start_making(topics, &parts, name);
    if (is_known)
        (void)mr_fail(err, MR_E(NOT_FOUND), MR_REJECT,
                      "Topic %s not found; make it with: millrace topics --tenant %s", name,
                      parts.tenant);
    else
        (void)mr_fail(err, MR_E(NOT_FOUND), MR_REJECT,
                      "Topic %s not found, and there is no kind %s here", name, parts.kind);
    return LOOKUP_UNKNOWN;
}

/* Whether this is a name to post to at all. */
static bool
check_name(const char *name, struct mr_err *err)
{
    struct mr_topic_name parts;
    if (!topics_name_ok(name))
        return mr_fail(err, MR_E(INVALID), MR_REJECT, "Topic %s is not a topic name to post to",
                       name) == 0;
    if (mr_topic_parse(name, &parts) && parts.role != MR_TOPIC_RAW)
        return mr_fail(err, MR_E(DENIED), MR_REJECT,
                       "Topic %s is written by the pipeline itself; post to %s.%s", name,
                       parts.tenant, parts.kind) == 0;
    return true;
}

enum lookup
topics_look(struct topics *topics, const char *name, struct topic **ret, struct mr_err *err)
{
    MR_ASSERT(topics != NULL);
    MR_ASSERT(name != NULL);
    struct mr_err asked = { 0 };
    struct topic *topic = find(topics, name);
    if (topic == NULL && !check_name(name, err))
        return LOOKUP_REFUSED;
    int partitions = mr_writer_partitions(topics->options.writer, name, 0, &asked);
    if (partitions == MR_E(NOT_FOUND))
        return look_missing(topics, name, err);
    if (partitions <= 0 || (topic == NULL && is_being_made(topics, name)))
        return LOOKUP_WAIT;
    if (topic == NULL && topics->count == TOPICS_MAX) {
        (void)mr_fail(err, MR_E(FULL), MR_REJECT, "Topic %s is one too many for this gateway",
                      name);
        return LOOKUP_REFUSED;
    }
    if (topic == NULL)
        topic = add(topics, name);
    topic->partitions = partitions;
    *ret = topic;
    return LOOKUP_READY;
}

const struct mr_topic *
topics_list(const struct topics *topics, size_t *ret_count)
{
    *ret_count = topics->list_count;
    return topics->list;
}

const char *
topics_cluster(const struct topics *topics)
{
    return topics->cluster;
}

const struct mr_plan *
topics_plan(const struct topics *topics)
{
    return topics->options.plan;
}

bool
topics_reachable(const struct topics *topics)
{
    return mr_now_ms() - topics->reached_ms < UNREACHABLE_MS;
}

size_t
topics_weak(const struct topics *topics)
{
    return topics->weak;
}
