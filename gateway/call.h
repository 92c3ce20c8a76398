/*
 * call: one request on its way to a dialect: what it asks for, who asks, and what the door has to
 * answer it with. Lives on the stack of the handler; what outlasts the call copies what it needs.
 */
#ifndef MR_CALL_H
#define MR_CALL_H

#include "base/base.h"
#include "gateway/admit.h"
#include "gateway/consumers.h"
#include "gateway/errand.h"
#include "gateway/fetch.h"
#include "gateway/guard.h"
#include "http/http.h"

enum { PATH_SEGMENTS_MAX = 12 };

/* The segments of a decoded path without the stage that an API gateway may put in front. */
struct path {
    struct mr_slice segments[PATH_SEGMENTS_MAX];
    size_t count;
};

/* The parts of the door that dialects use; borrowed for the door's life. */
struct gateway {
    struct admit *admit;
    struct errands *errands;
    struct fetches *fetches;
    struct barriers *barriers; /* NULL: no query service was named */
    struct guard *guard;
    struct replies *replies;
    struct visits *visits;
    struct consumers *consumers;
    const char *pipeline; /* whose processes read in groups "<pipeline>.<process>"; or NULL */
};

struct call {
    const struct gateway *gateway;
    struct mr_http_request *request;
    struct path path;
    bool is_get, is_post, is_delete; /* is_get: GET or HEAD; is_post: POST or PUT */
    const struct principal *who;
};

/* True when segment i is there and is this text. */
bool call_segment_is(const struct call *call, size_t i, const char *text);
/* 405 in the dialect's words. */
void call_no_method(const struct call *call, const struct dialect *dialect);

#endif
