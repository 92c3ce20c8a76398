/*
 * Records on a connection that stays open: a body in chunks, as published. What has come whole is
 * one post; while it is under way more may come, and is the next one. So records keep their order,
 * answers come in order, and the faster they come, the more of them share a post.
 *
 * The status is told with the first answer: 200, but for one record alone its own.
 *
 * Bounds: a record, what has come and is not posted yet (of one stream: reading pauses; of all:
 * admit_hold), and what is in flight (admit). Beyond the first and the third the stream ends behind
 * the answers to what came before.
 */
#include "gateway/rest_v3.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    STREAM_RECORD_BYTES_MAX = 2 << 20,
    STREAM_CAME_BYTES_MAX = STREAM_RECORD_BYTES_MAX + (1 << 20), /* the assembly's own limit */
    STREAM_PAUSE_BYTES = 64 * 1024,
    STREAM_POST_MAX = 1000, /* records */
};

/* Finds where records end, going on where it stopped. */
struct finder {
    size_t at, start;
    size_t depth;
    bool in_string, is_escaped;
};

struct v3_stream {
    struct errand errand; /* first; see answer_later */
    struct call call;
    struct v3_receipts receipts; /* of the post under way */
    struct post *post;           /* NULL: none is under way */
    struct mr_arena arena;       /* of the post under way */
    struct mr_buf posted;        /* its records as they came */
    struct mr_buf came;          /* not posted yet */
    struct finder finder;        /* over what came */
    size_t held;                 /* of admit, for what came */
    uint32_t count;              /* records answered */
    bool has_waited, has_begun, has_ended, is_gone, is_paused;
    int fault; /* 0: none; else its code: nothing more is read, and the text says why */
    char fault_text[256];
};

/* The memory of a post that has been answered, and of all else at the end. */
static void
drop_post(struct v3_stream *stream)
{
    stream->post = NULL;
    mr_buf_fini(&stream->posted);
    mr_buf_init(&stream->posted, STREAM_CAME_BYTES_MAX);
    mr_arena_fini(&stream->arena);
    mr_arena_init(&stream->arena);
}

static void
drop_all(struct v3_stream *stream)
{
    MR_ASSERT(stream->post == NULL);
    drop_post(stream);
    mr_buf_fini(&stream->came);
    admit_give_back(stream->call.gateway->admit, stream->held);
}

/* ---- finding records ---- */

enum found { FOUND_RECORD, FOUND_NOTHING, FOUND_GARBAGE, FOUND_TOO_LARGE };

static void
step(struct finder *finder, char c)
{
    if (finder->in_string) {
        finder->in_string = finder->is_escaped || c != '"';
        finder->is_escaped = !finder->is_escaped && c == '\\';
    } else if (c == '"') {
        finder->in_string = true;
    } else if (c == '{' || c == '[') {
        finder->depth++;
    } else if (c == '}' || c == ']') {
        finder->depth--;
    }
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The next whole record; whether its inside is good is for its parser to say. */
static enum found
find_record(struct finder *finder, const struct mr_buf *came, struct mr_slice *ret)
{
    for (; finder->at < came->size; finder->at++) {
        char c = came->data[finder->at];
        if (finder->depth == 0 && is_blank(c))
            continue;
        if (finder->depth == 0 && c != '{')
            return FOUND_GARBAGE;
        if (finder->depth == 0)
            finder->start = finder->at;
        else if (finder->at - finder->start == STREAM_RECORD_BYTES_MAX)
            return FOUND_TOO_LARGE;
        step(finder, c);
        if (finder->depth == 0) {
            finder->at++;
            *ret = mr_slice(came->data + finder->start, finder->at - finder->start);
            return FOUND_RECORD;
        }
    }
    return FOUND_NOTHING;
}

static bool
is_rest_blank(const struct v3_stream *stream)
{
    size_t at = stream->finder.at;
    while (at < stream->came.size && is_blank(stream->came.data[at]))
        at++;
    return stream->finder.depth == 0 && at >= stream->came.size;
}

/* ---- what ends a stream before its time ---- */

static void
break_off(struct v3_stream *stream, int code, const char *text)
{
    if (stream->fault != 0)
        return;
    stream->fault = code;
    (void)snprintf(stream->fault_text, sizeof(stream->fault_text), "%s", text);
}

/* What has come and is not posted counts for all streams together. */
static void
count_held(struct v3_stream *stream)
{
    struct admit *admit = stream->call.gateway->admit;
    size_t bytes = stream->came.size;
    if (bytes < stream->held)
        admit_give_back(admit, stream->held - bytes);
    else if (!admit_hold(admit, bytes - stream->held)) {
        break_off(stream, 50003,
                  "too much of all streams waits to be posted; nothing from here on was read");
        return;
    }
    stream->held = bytes;
}

/* What stands behind the last whole record. */
static void
judge_rest(struct v3_stream *stream)
{
    const struct finder *finder = &stream->finder;
    if (finder->depth > 0 && stream->has_ended)
        break_off(stream, 400, "the last record is not JSON: a bracket or a string is not closed");
    count_held(stream);
}

/* ---- posts ---- */

static void
new_post(struct v3_stream *stream)
{
    stream->receipts.records = NULL;
    stream->receipts.count = stream->receipts.room = 0;
    stream->post = post_new_part(&stream->call, &rest_v3, &stream->arena);
    stream->post->index = stream->count;
    stream->post->state = &stream->receipts;
}

/* What stands behind the last record taken goes back to what came. */
static void
put_back(struct v3_stream *stream, size_t taken)
{
    struct finder *finder = &stream->finder;
    mr_buf_put(&stream->came, stream->posted.data + taken, stream->posted.size - taken);
    MR_ASSERT(!stream->came.failed);
    MR_ASSERT(finder->at >= taken);
    finder->at -= taken;
    finder->start -= finder->start < taken ? finder->start : taken;
}

/* The whole records of what came become a post, in whose memory they stay until it is answered.
 * False: there is none. */
static bool
make_post(struct v3_stream *stream)
{
    struct finder *finder = &stream->finder;
    struct mr_slice json;
    size_t taken = 0;
    enum found found = find_record(finder, &stream->came, &json);
    if (found == FOUND_RECORD) {
        struct mr_buf empty = stream->posted;
        stream->posted = stream->came;
        stream->came = empty;
        new_post(stream);
    }
    while (found == FOUND_RECORD) {
        v3_take_record(stream->post, json);
        taken = finder->at;
        if (stream->receipts.count == STREAM_POST_MAX)
            break;
        found = find_record(finder, &stream->posted, &json);
    }
    if (found == FOUND_GARBAGE)
        break_off(stream, 400,
                  "a record is expected, which begins with '{'; nothing from here on was read");
    if (found == FOUND_TOO_LARGE)
        break_off(stream, 413,
                  "a record of a stream may have 2 MiB at most; nothing from here on was read");
    if (stream->post != NULL)
        put_back(stream, taken);
    return stream->post != NULL;
}

/* ---- answers ---- */

/* The whole answer at once, with a status of its own. */
static void
end_alone(struct v3_stream *stream, int status, const struct mr_buf *body)
{
    struct replies *replies = stream->call.gateway->replies;
    struct mr_http_request *request = stream->call.request;
    drop_all(stream);
    reply_json(replies, request, &rest_v3, status, mr_buf_slice(body));
}

static void
say(struct v3_stream *stream, const struct mr_buf *body)
{
    if (stream->is_gone)
        return;
    if (!stream->has_begun)
        reply_begin(stream->call.gateway->replies, stream->call.request, &rest_v3);
    stream->has_begun = true;
    mr_http_reply_part(stream->call.request, mr_buf_slice(body));
}

/* False: that was all, and the stream is over. */
static bool
tell_post(struct v3_stream *stream)
{
    const struct v3_receipts *receipts = &stream->receipts;
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    mr_buf_init(&body, REPLY_JSON_BYTES_MAX);
    v3_put_receipts(&body, stream->post);
    MR_ASSERT(!body.failed);
    bool is_alone = stream->has_ended && !stream->is_gone && stream->fault == 0 &&
                    stream->count == 0 && receipts->count == 1 && is_rest_blank(stream);
    int status = v3_status(&receipts->records[0]);
    stream->count += (uint32_t)receipts->count;
    drop_post(stream);
    if (is_alone)
        end_alone(stream, status, &body);
    else
        say(stream, &body);
    return !is_alone;
}

static void
finish(struct v3_stream *stream)
{
    struct mr_http_request *request = stream->call.request;
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    if (stream->count == 0 && !stream->is_gone)
        break_off(stream, 42206, "Payload error. Empty input provided. Data is required.");
    mr_buf_init(&body, 8 * sizeof(stream->fault_text));
    mr_buf_printf(&body, "{\"error_code\":%d,\"message\":", stream->fault);
    mr_buf_json(&body, mr_slice_text(stream->fault_text));
    mr_buf_text(&body, "}\n");
    MR_ASSERT(!body.failed);
    if (stream->fault != 0 && !stream->has_begun && !stream->is_gone) {
        end_alone(stream, v3_status(&(struct v3_record){ .code = stream->fault }), &body);
        return;
    }
    if (stream->fault != 0)
        say(stream, &body);
    drop_all(stream);
    mr_http_reply_end(request); /* the stream goes with its request */
}

/* ---- going on ---- */

/* Reading waits while a post is under way and enough has come for the next one. */
static void
pace(struct v3_stream *stream)
{
    bool is_enough = stream->post != NULL && stream->came.size >= STREAM_PAUSE_BYTES;
    if (is_enough == stream->is_paused)
        return;
    stream->is_paused = is_enough;
    if (is_enough)
        mr_http_pause(stream->call.request);
    else
        mr_http_resume(stream->call.request);
}

static int
run_nothing(struct mr_job *job, struct mr_err *err)
{
    (void)job;
    (void)err;
    return 0;
}

static void
finish_nothing(struct errand *errand)
{
    v3_stream_answered((struct v3_stream *)errand);
}

/* Whether the body ends behind its first record is known once the server has read on: a record that
 * is refused at once, and may be the only one, waits for the next round as if it were under way. */
static bool
answer_later(struct v3_stream *stream)
{
    struct mr_err err = { 0 };
    if (stream->has_waited || stream->has_ended || stream->receipts.count > 1)
        return false;
    stream->has_waited = true;
    stream->errand = (struct errand){ .job.run = run_nothing, .finish = finish_nothing };
    return errands_submit(stream->call.gateway->errands, &stream->errand, &err) == 0;
}

/* Posts what has come, until a post is under way or nothing is left to post. The stream may be over
 * when this returns. */
static void
go_on(struct v3_stream *stream)
{
    while (stream->fault == 0 && !stream->is_gone && make_post(stream)) {
        count_held(stream);
        if (stream->post->count > 0) {
            pace(stream);
            post_admit(stream->post); /* goes on in v3_stream_answered, perhaps at once */
            return;
        }
        /* All of its records are refused. */
        if (answer_later(stream) || !tell_post(stream))
            return;
    }
    judge_rest(stream);
    if (stream->fault != 0 || stream->has_ended)
        finish(stream);
    else
        pace(stream);
}

void
v3_stream_answered(struct v3_stream *stream)
{
    MR_ASSERT(stream->post != NULL);
    if (!answer_later(stream) && tell_post(stream))
        go_on(stream);
}

/* ---- what the server tells ---- */

static void
on_part(void *self, struct mr_http_request *request, struct mr_slice part)
{
    struct v3_stream *stream = self;
    (void)request;
    if (stream->fault != 0)
        return;
    if (guard_spend(stream->call.gateway->guard, &stream->call, part.size)) {
        mr_buf_put(&stream->came, part.data, part.size);
        MR_ASSERT(!stream->came.failed);
    } else {
        break_off(stream, 429,
                  "the stream brings more than the limits allow; nothing from here on was read");
    }
    if (stream->post == NULL) {
        go_on(stream);
        return;
    }
    count_held(stream);
    pace(stream);
}

static void
on_end(void *self, struct mr_http_request *request, int status, const char *text)
{
    struct v3_stream *stream = self;
    (void)request;
    if (status != 0)
        break_off(stream, status, text);
    stream->has_ended = true;
    if (stream->post == NULL)
        go_on(stream);
}

static void
on_gone(void *self, struct mr_http_request *request)
{
    struct v3_stream *stream = self;
    (void)request;
    stream->is_gone = stream->has_ended = true;
    if (stream->post == NULL)
        go_on(stream);
}

void
v3_stream_begin(const struct call *call, const char *cluster)
{
    static const struct mr_http_stream told = { on_part, on_end, on_gone };
    struct v3_stream *stream = mr_arena_alloc(mr_http_arena(call->request), sizeof(*stream));
    *stream = (struct v3_stream){ .call = *call };
    stream->receipts = (struct v3_receipts){ .cluster = cluster,
                                             .topic = v3_segment(call, V3_TOPIC),
                                             .stream = stream };
    mr_arena_init(&stream->arena);
    mr_buf_init(&stream->posted, STREAM_CAME_BYTES_MAX);
    mr_buf_init(&stream->came, STREAM_CAME_BYTES_MAX);
    mr_http_stream(call->request, &told, stream);
}

bool
rest_v3_wants_stream(const struct call *call)
{
    return call->path.count == 6 && call_segment_is(call, 5, "records") &&
           mr_http_header(call->request, "transfer-encoding").data != NULL &&
           mr_http_header(call->request, "content-encoding").data == NULL &&
           mr_slice_is_text(mr_http_method(call->request), "POST");
}
