/*
 * A post goes through here in order: room, topics, stamp and produce, reports, answer. One that
 * must wait for its topic is parked and tried again at each step until its deadline. Values are not
 * copied on their way to Kafka; what is in flight is bounded by the bytes of the posts.
 */
#include "gateway/admit.h"

#include "clock/clock.h"
#include "gateway/call.h"
#include "gateway/identities.h"
#include "gateway/receipts.h"
#include "gateway/strict.h"
#include "gateway/visit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    EVENT_COST_BYTES = 512, /* of our own and the client library's bookkeeping */
    EVENTS_FIRST = 4,
    HELD_SHARE = 4,
};

struct admit {
    struct admit_options options;
    struct mr_writer *writer;
    struct topics *topics;
    struct receipts *receipts;
    struct post *parked, *parked_last;
    size_t waiting, bytes, held;
    int reports; /* served in this step */
    struct mr_cell *ack[DIALECT_NAMES], *in_flight, *repeated, *reused;
};

/* ---- answers ---- */

static void
leave(struct post *post)
{
    struct admit *admit = post->admit;
    MR_ASSERT(admit->waiting > 0);
    MR_ASSERT(admit->bytes >= post->bytes);
    admit->waiting--;
    admit->bytes -= post->bytes;
    mr_set(admit->in_flight, (int64_t)admit->bytes);

    struct visit *visit = visit_of(post->request);
    visit->events += post->count;
    visit->topic = post->events[0].name;
    visit->is_topic_found = post->events[0].topic != NULL;
}

static void
answer(struct post *post)
{
    if (post->is_identified)
        identities_settle(post, post->admit->receipts);
    leave(post);
    mr_observe_us(post->admit->ack[post->dialect->name], mr_now_us() - post->started_us);
    post->dialect->answer(post);
}

size_t
post_failed(const struct post *post, int *ret_status)
{
    size_t failed = 0, retriable = 0, large = 0, missing = 0, invalid = 0;
    for (size_t i = 0; i < post->count; i++) {
        failed += post->events[i].code != 0;
        retriable += post->events[i].code != 0 && post->events[i].is_retriable;
        large += post->events[i].code == MR_E(TOO_LARGE);
        missing += post->events[i].code == MR_E(NOT_FOUND);
        invalid += post->events[i].code == MR_E(INVALID);
    }
    bool is_told = failed < post->count || failed == 0 || (post->is_partial && invalid == failed);
    *ret_status = is_told             ? 200
                  : retriable > 0     ? 503
                  : large == failed   ? 413
                  : missing == failed ? 404
                                      : 500;
    return failed;
}

static void
mark(struct event *event, const struct mr_err *err)
{
    event->code = err->code;
    event->is_retriable = err->remedy == MR_RETRY;
    event->text = mr_arena_copy(event->post->arena, err->text, strlen(err->text));
}

/* Each event of the part is told why, with the codes that errors have. */
static void
refuse_part(struct post *post, enum fault fault, const char *text)
{
    struct mr_err err = { 0 };
    int code = fault == FAULT_TOPIC    ? MR_E(NOT_FOUND)
               : fault == FAULT_DENIED ? MR_E(DENIED)
               : fault == FAULT_BUSY   ? MR_E(FULL)
               : fault == FAULT_DOWN   ? MR_E(UNAVAILABLE)
                                       : MR_E(CONFLICT);
    bool is_retriable = fault == FAULT_BUSY || fault == FAULT_DOWN;
    (void)mr_fail(&err, code, is_retriable ? MR_RETRY : MR_REJECT, "%s", text);
    for (size_t i = 0; i < post->count; i++)
        mark(&post->events[i], &err);
    leave(post);
    post->dialect->answer(post);
}

__attribute__((format(printf, 3, 4))) static void
refuse(struct post *post, enum fault fault, const char *format, ...)
{
    char text[MR_ERR_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (post->is_part) {
        refuse_part(post, fault, text);
        return;
    }
    leave(post);
    reply_fault(post->admit->options.replies, post->request, post->dialect, fault, "%s", text);
}

static void
on_delivered(void *self, void *opaque, int32_t partition, int64_t offset, const struct mr_err *err)
{
    struct admit *admit = self;
    struct event *event = opaque;
    struct post *post = event->post;
    admit->reports++;
    if (err != NULL) {
        mark(event, err);
    } else {
        event->partition = partition;
        event->offset = offset;
        mr_add(event->topic->good, 1);
    }
    MR_ASSERT(post->waiting > 0);
    if (--post->waiting == 0)
        answer(post);
}

/* ---- produce ---- */

static void
produce_event(struct post *post, struct event *event, struct stamp *stamp)
{
    struct mr_err err = { 0 };
    const struct identity *identity = event->identity;
    static const struct stamp_name nameless;
    uint8_t unique[STAMP_ID_BYTES];
    int32_t partition = event->partition;
    if (identity == NULL)
        stamp_id(stamp, "", 0, &nameless, unique);
    else if (partition < 0)
        partition = stamp_partition(stamp, &identity->name, identity->id, event->topic->spread);
    if (partition < 0 && post->dialect->place != NULL)
        partition = post->dialect->place(event);
    uint64_t value_hash = identity != NULL ? identity->value_hash
                                           : mr_hash64(event->value.data, event->value.size, 0);
    struct mr_message message = {
        .topic = event->topic->name,
        .partition = partition,
        .key = event->key,
        .value = event->value,
        .header = stamp_record(stamp, identity != NULL ? identity->id : unique, value_hash),
        .value_borrowed = true,
        .time_ms = post->received_us / 1000,
        .opaque = event,
    };
    event->partition = -1;
    mr_add(event->topic->in, 1);
    if (partition >= event->topic->partitions)
        (void)mr_fail(&err, MR_E(NOT_FOUND), MR_REJECT, "Partition %d not found", (int)partition);
    else
        (void)mr_writer_produce(post->admit->writer, &message, &err);
    if (err.code != 0)
        mark(event, &err);
    else
        post->waiting++;
}

/* Nothing of a post that breaks the contract is stored, unless its answer can tell which events
 * are. False: it has been answered. */
static bool
judge(struct post *post)
{
    char text[MR_ERR_TEXT_MAX];
    MR_CLEANUP(mr_buf_fini) struct mr_buf list;
    mr_buf_init(&list, REPLY_JSON_BYTES_MAX);
    mr_buf_text(&list, ",\"errors\":[");
    post->is_judged = true;
    size_t failed = strict_judge_post(post->admit->options.strict, post, &list), first = 0;
    if (failed == 0 || post->is_partial)
        return true;
    mr_buf_text(&list, "]");
    MR_ASSERT(!list.failed);
    while (post->events[first].code == 0)
        first++;
    (void)snprintf(text, sizeof(text),
                   "%zu of %zu events break the contract of their kind, so nothing was stored; "
                   "event %zu: %s",
                   failed, post->count, post->index + post->events[first].place,
                   post->events[first].text);
    leave(post);
    reply_fault_more(post->admit->options.replies, post->request, post->dialect, FAULT_CONTRACT,
                     text, mr_buf_slice(&list));
    return false;
}

/* Of each topic's partitions, how many count? */
static bool
know_spread(struct post *post)
{
    bool is_known = true;
    for (size_t i = 0; i < post->count; i++)
        if (i == 0 || post->events[i].topic != post->events[i - 1].topic)
            is_known = topics_know_spread(post->admit->topics, post->events[i].topic) && is_known;
    return is_known;
}

/* False: it waits for what is in flight. */
static bool
produce(struct post *post)
{
    struct stamp stamp;
    struct mr_slice key = mr_http_header(post->request, "idempotency-key");
    size_t reused = SIZE_MAX;
    if (post->admit->options.strict != NULL && !post->is_judged && !judge(post))
        return true;
    stamp_init(&stamp, &(struct stamp_origin){
                           .dialect = post->dialect->wire,
                           .received_us = post->received_us,
                           .principal = principal_name(post->who),
                           .traceparent = visit_trace(post->request),
                           .key = key,
                           .is_named = post->is_named,
                       });
    if ((post->is_named || key.data != NULL) && !post->is_identified)
        identities_give(post, &stamp);
    if (post->is_identified && !know_spread(post))
        return false;
    if (post->is_identified && identities_wait(post, post->admit->receipts, &reused))
        return false;
    if (post->is_identified && reused == SIZE_MAX)
        mr_add(post->admit->repeated,
               (int64_t)identities_begin(post, post->admit->receipts, &reused));
    if (reused != SIZE_MAX) {
        mr_add(post->admit->reused, 1);
        refuse(post, FAULT_REUSED,
               "event %zu has the id (Idempotency-Key and place, or its own) of an event that was "
               "stored with another value; nothing was stored, give it a new id",
               post->index + post->events[reused].place);
        return true;
    }
    for (size_t i = 0; i < post->count; i++) {
        struct event *event = &post->events[i];
        const struct identity *identity = event->identity;
        bool is_settled = identity != NULL && (identity->is_known || identity->twin != NULL);
        if (!is_settled && event->code == 0)
            produce_event(post, event, &stamp);
    }
    if (post->waiting == 0)
        answer(post);
    return true;
}

/* ---- from the door ---- */

/* Finds the topic of each event; READY when all are found. */
static enum lookup
resolve(struct post *post, struct mr_err *err)
{
    for (size_t i = 0; i < post->count; i++) {
        struct event *event = &post->events[i];
        if (i > 0 && strcmp(event->name, event[-1].name) == 0) {
            event->topic = event[-1].topic;
            continue;
        }
        if (!guard_may(post->who, RIGHT_PRODUCE, event->name)) {
            (void)mr_fail(err, MR_E(DENIED), MR_REJECT, "%s may not post to topic %s",
                          principal_name(post->who), event->name);
            return LOOKUP_REFUSED;
        }
        enum lookup found = topics_look(post->admit->topics, event->name, &event->topic, err);
        if (found != LOOKUP_READY)
            return found;
    }
    return LOOKUP_READY;
}

static enum fault
fault_of(enum lookup found, const struct mr_err *err)
{
    if (found == LOOKUP_UNKNOWN)
        return FAULT_TOPIC;
    switch (err->code) {
    case MR_E(DENIED):
        return FAULT_DENIED;
    case MR_E(CONFLICT):
        return FAULT_CONFLICT;
    case MR_E(INVALID):
        return FAULT_TOPIC;
    default:
        return FAULT_DOWN;
    }
}

/* False: it still waits for its topic. */
static bool
proceed(struct post *post)
{
    struct mr_err err = { 0 };
    enum lookup found = resolve(post, &err);
    if (found == LOOKUP_WAIT) {
        if (mr_now_ms() < post->deadline_ms)
            return false;
        refuse(post, FAULT_DOWN, "Kafka does not answer; nothing was stored, try again");
        return true;
    }
    if (found == LOOKUP_READY && produce(post))
        return true;
    if (found == LOOKUP_READY && mr_now_ms() < post->deadline_ms)
        return false;
    if (found == LOOKUP_READY)
        refuse(post, FAULT_DOWN,
               "the same events are still on their way to Kafka, or it does not answer; try again");
    else
        refuse(post, fault_of(found, &err), "%s", err.text);
    return true;
}

static void
park(struct admit *admit, struct post *post)
{
    post->next = NULL;
    if (admit->parked_last != NULL)
        admit->parked_last->next = post;
    else
        admit->parked = post;
    admit->parked_last = post;
}

static void
try_parked(struct admit *admit)
{
    struct post *post = admit->parked;
    admit->parked = admit->parked_last = NULL;
    while (post != NULL) {
        struct post *next = post->next;
        if (!proceed(post))
            park(admit, post);
        post = next;
    }
}

void
post_admit(struct post *post)
{
    MR_ASSERT(post->count > 0);
    struct admit *admit = post->admit;
    for (size_t i = 0; i < post->count; i++)
        post->bytes += EVENT_COST_BYTES + post->events[i].key.size + post->events[i].value.size;
    bool has_room = admit->bytes + post->bytes <= (size_t)admit->options.in_flight_bytes_max;
    admit->waiting++;
    admit->bytes += post->bytes;
    mr_set(admit->in_flight, (int64_t)admit->bytes);
    /* One post alone may pass the limit, or it could never be taken. */
    if (!has_room && admit->waiting > 1)
        refuse(post, FAULT_BUSY, "too much waits for Kafka's acknowledgement; try again");
    else if (!proceed(post))
        park(admit, post);
}

static struct post *
new_in(const struct call *call, const struct dialect *dialect, struct mr_arena *arena)
{
    struct admit *admit = call->gateway->admit;
    struct post *post = mr_arena_alloc(arena, sizeof(*post));
    *post = (struct post){ .admit = admit,
                           .request = call->request,
                           .arena = arena,
                           .dialect = dialect,
                           .who = call->who,
                           .received_us = mr_wall_us(),
                           .started_us = mr_now_us(),
                           .deadline_ms = mr_now_ms() + admit->options.delivery_ms_max };
    return post;
}

struct post *
post_new(const struct call *call, const struct dialect *dialect)
{
    return new_in(call, dialect, mr_http_arena(call->request));
}

struct post *
post_new_part(const struct call *call, const struct dialect *dialect, struct mr_arena *arena)
{
    struct post *post = new_in(call, dialect, arena);
    post->is_part = true;
    post->is_partial = true;
    return post;
}

struct event *
post_add(struct post *post, const char *topic)
{
    if (post->count == POST_EVENTS_MAX)
        return NULL;
    if (post->count == post->room) {
        size_t room = post->room == 0 ? EVENTS_FIRST : 4 * post->room;
        struct event *events = mr_arena_alloc(post->arena, room * sizeof(*events));
        if (post->count > 0)
            memcpy(events, post->events, post->count * sizeof(*events));
        post->events = events;
        post->room = room;
    }
    size_t place = post->count;
    struct event *event = &post->events[post->count++];
    *event = (struct event){
        .post = post, .place = place, .name = topic, .partition = -1, .offset = -1
    };
    return event;
}

/* ---- open, step, close ---- */

int
admit_open(const struct admit_options *options, struct admit **ret, struct mr_err *err)
{
    MR_ASSERT(options->in_flight_bytes_max > 0);
    struct admit *admit = mr_alloc(sizeof(*admit));
    admit->options = *options;
    for (size_t i = 0; i < DIALECT_NAMES; i++)
        admit->ack[i] =
            mr_metrics_cell(options->metrics, "millrace_gateway_ack_seconds", &dialect_names[i]);
    static const char *const outcomes[] = { "repeated", "reused" };
    admit->repeated =
        mr_metrics_cell(options->metrics, "millrace_gateway_receipts_total", &outcomes[0]);
    admit->reused =
        mr_metrics_cell(options->metrics, "millrace_gateway_receipts_total", &outcomes[1]);
    admit->in_flight = mr_metrics_cell(options->metrics, "millrace_gateway_in_flight_bytes", NULL);
    struct mr_writer_options writer = {
        .linger_ms = options->linger_ms,
        /* The posts are the limit; the queue has room for one that passes it. */
        .queue_bytes_max = 2 * options->in_flight_bytes_max,
        .delivery_timeout_ms = options->delivery_ms_max,
        .delivered = on_delivered,
        .self = admit,
    };
    int code = mr_writer_open(options->bus, &writer, &admit->writer, err);
    if (code != 0) {
        free(admit);
        return code;
    }
    admit->receipts = receipts_open(options->receipts_bytes_max);
    admit->topics = topics_open(&(struct topics_options){ .errands = options->errands,
                                                          .writer = admit->writer,
                                                          .plan = options->plan,
                                                          .kinds = options->kinds,
                                                          .auto_topics = options->auto_topics,
                                                          .metrics = options->metrics });
    *ret = admit;
    return 0;
}

void
admit_close(struct admit *admit)
{
    if (admit == NULL)
        return;
    mr_writer_close(admit->writer); /* its last reports count in topics */
    topics_close(admit->topics);
    receipts_close(admit->receipts);
    free(admit);
}

int
admit_fd(const struct admit *admit)
{
    return mr_writer_fd(admit->writer);
}

int
admit_step(struct admit *admit)
{
    admit->reports = 0;
    (void)mr_writer_poll(admit->writer, 0);
    topics_step(admit->topics);
    try_parked(admit);
    return admit->reports;
}

void
admit_reports(void *self)
{
    struct admit *admit = self;
    (void)mr_writer_poll(admit->writer, 0);
}

size_t
admit_waiting(const struct admit *admit)
{
    return admit->waiting;
}

size_t
admit_in_flight_bytes(const struct admit *admit)
{
    return admit->bytes;
}

size_t
admit_receipts(const struct admit *admit)
{
    return receipts_count(admit->receipts);
}

bool
admit_hold(struct admit *admit, size_t bytes)
{
    if (admit->held + bytes > (size_t)admit->options.in_flight_bytes_max / HELD_SHARE)
        return false;
    admit->held += bytes;
    return true;
}

size_t
admit_held_bytes(const struct admit *admit)
{
    return admit->held;
}

void
admit_give_back(struct admit *admit, size_t bytes)
{
    MR_ASSERT(admit->held >= bytes);
    admit->held -= bytes;
}

struct topics *
admit_topics(struct admit *admit)
{
    return admit->topics;
}

struct replies *
admit_replies(struct admit *admit)
{
    return admit->options.replies;
}
