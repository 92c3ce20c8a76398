/*
 * For the tests of streams: a handler that answers part by part and writes down what it is told.
 */
#ifndef MR_TEST_HTTP_STREAMER_H
#define MR_TEST_HTTP_STREAMER_H

#include "http_client.h"

/* Answers each part with itself in brackets, and the end with its status. */
struct streamer {
    struct fixture fixture; /* for what is no stream */
    struct mr_http_request *request;
    struct mr_slice filler; /* the answer to every part instead */
    size_t parts_bytes;
    int end_status, ends, gones;
    bool is_late;    /* the test begins the stream */
    bool keeps_open; /* the test ends it */
    bool pauses;     /* after each part */
    bool stops;      /* ends it at its first part */
};

static inline void
see_part(void *self, struct mr_http_request *request, struct mr_slice part)
{
    struct streamer *streamer = self;
    char text[256];
    assert_true(part.size > 0);
    assert_ptr_equal(request, streamer->request);
    streamer->parts_bytes += part.size;
    if (streamer->pauses)
        mr_http_pause(request);
    if (streamer->filler.size > 0) {
        mr_http_reply_part(request, streamer->filler);
        return;
    }
    int size = snprintf(text, sizeof(text), "[%.*s]", (int)(part.size < 99 ? part.size : 99),
                        (const char *)part.data);
    mr_http_reply_part(request, mr_slice(text, (size_t)size));
    if (streamer->stops)
        mr_http_reply_end(request);
}

static inline void
see_end(void *self, struct mr_http_request *request, int status, const char *text)
{
    struct streamer *streamer = self;
    assert_true((status == 0) == (text == NULL));
    streamer->ends++;
    streamer->end_status = status;
    if (!streamer->keeps_open)
        mr_http_reply_end(request);
}

static inline void
see_gone(void *self, struct mr_http_request *request)
{
    struct streamer *streamer = self;
    streamer->gones++;
    if (!streamer->keeps_open)
        mr_http_reply_end(request);
}

static inline void
begin(struct streamer *streamer)
{
    static const struct mr_http_stream events = { see_part, see_end, see_gone };
    mr_http_stream(streamer->request, &events, streamer);
    mr_http_reply_begin(streamer->request,
                        &(struct mr_http_reply){ .status = 200, .content_type = "x/y" });
}

static inline void
take(void *self, struct mr_http_request *request)
{
    struct streamer *streamer = self;
    if (!mr_http_is_stream(request)) {
        fixture_handle(&streamer->fixture, request);
        return;
    }
    assert_int_equal(mr_http_body(request).size, 0);
    streamer->fixture.handled++;
    streamer->request = request;
    if (!streamer->is_late)
        begin(streamer);
}

static inline bool
choose(void *self, struct mr_http_request *request)
{
    (void)self;
    return mr_slice_is_text(mr_http_path(request), "/s");
}

static inline void
streamer_open(struct streamer *streamer, const struct mr_http_limits *limits)
{
    struct mr_err err = { 0 };
    *streamer = (struct streamer){ .end_status = -1 };
    struct mr_http_options options = {
        .host = "127.0.0.1", .handler = take, .wants_stream = choose, .self = streamer
    };
    if (limits != NULL)
        options.limits = *limits;
    assert_int_equal(mr_http_listen(&options, &streamer->fixture.http, &err), 0);
}

static inline void
await_parts(struct streamer *streamer, size_t bytes)
{
    int64_t deadline_ms = real_ms() + WAIT_MS_MAX;
    while (streamer->parts_bytes < bytes) {
        (void)mr_http_poll(streamer->fixture.http, 1);
        assert_true(real_ms() < deadline_ms);
    }
}

static inline void
say(struct streamer *streamer, int fd, const char *text)
{
    client_send(&streamer->fixture, fd, text, strlen(text));
}

#endif
