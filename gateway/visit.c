/*
 * What all requests cost here must stay far below what they cost elsewhere: a visit is two looks at
 * the clock, a trace context is taken or made when somebody asks for it, and a line is put together
 * only for a request that is logged.
 *
 * The access log goes through lib/log, so that one stream has it all. Its lines hold no header, no
 * query and no body; the path is percent-encoded again, which leaves no byte that a terminal or a
 * parser of lines could take for its own.
 */
#include "gateway/visit.h"

#include "clock/clock.h"
#include "gateway/reply.h"
#include "log/log.h"
#include "names/names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CLASSES = 6,
    STATUS_MAX = 599,
    TENANT_SLOTS = 256, /* a power of 2, well above VISITS_TENANTS_MAX */
    PLAIN_TEXT_MAX = 512,
};

enum { DIALECT_NONE = DIALECT_NAMES, DIALECT_ALL };

struct tenant {
    char name[MR_TENANT_MAX + 1]; /* "": a free slot */
    struct mr_cell *requests[CLASSES];
};

struct visits {
    struct mr_metrics *metrics;
    uint64_t number; /* of the last one */
    int status_min;  /* requests answered with it or above are logged */
    int64_t every;   /* and each so many-th of all; 0: none */
    int64_t counted; /* towards every */
    int64_t second;  /* in which so many lines were written: */
    int lines;
    struct mr_cell *dropped;
    struct mr_cell *unread[CLASSES]; /* refused by lib/http, by class of status */
    struct mr_cell *refused[STATUS_MAX + 1];
    struct mr_cell *seconds[DIALECT_ALL], *body[DIALECT_ALL], *answer_body[DIALECT_ALL];
    struct tenant tenants[TENANT_SLOTS], others;
    size_t tenants_count;
};

static const char *const classes[CLASSES] = { NULL, NULL, "2xx", "3xx", "4xx", "5xx" };

/* ---- open ---- */

static int
read_access_log(struct visits *visits, const char *text, struct mr_err *err)
{
    char *end;
    visits->status_min = STATUS_MAX + 1;
    if (strcmp(text, "off") == 0)
        return 0;
    if (strcmp(text, "errors") == 0) {
        visits->status_min = 400;
        return 0;
    }
    visits->status_min = 500;
    errno = 0;
    visits->every = strcmp(text, "all") == 0 ? 1 : strtoll(text, &end, 10);
    if (strcmp(text, "all") == 0 || (errno == 0 && *end == '\0' && visits->every > 0))
        return 0;
    return mr_fail(err, MR_E(INVALID), MR_FATAL,
                   "--access-log %s is none of off, errors, all or a number of at least 1", text);
}

static void
open_tenant(struct visits *visits, struct tenant *tenant, const char *name)
{
    (void)snprintf(tenant->name, sizeof(tenant->name), "%s", name);
    for (size_t group = 2; group < CLASSES; group++) {
        const char *labels[] = { name, classes[group] };
        tenant->requests[group] =
            mr_metrics_cell(visits->metrics, "millrace_gateway_tenant_requests_total", labels);
    }
}

static void
open_cells(struct visits *visits)
{
    struct mr_metrics *metrics = visits->metrics;
    visits->dropped = mr_metrics_cell(metrics, "millrace_gateway_access_lines_dropped_total", NULL);
    for (size_t i = 0; i < DIALECT_ALL; i++) {
        const char *const name = i < DIALECT_NAMES ? dialect_names[i] : "none";
        visits->seconds[i] = mr_metrics_cell(metrics, "millrace_gateway_request_seconds", &name);
        visits->body[i] = mr_metrics_cell(metrics, "millrace_gateway_request_body_bytes", &name);
        visits->answer_body[i] =
            mr_metrics_cell(metrics, "millrace_gateway_answer_body_bytes", &name);
    }
    for (size_t group = 4; group < CLASSES; group++) {
        const char *labels[] = { "none", classes[group] };
        visits->unread[group] = mr_metrics_cell(metrics, "millrace_gateway_requests_total", labels);
    }
    open_tenant(visits, &visits->others, "other");
}

int
visits_open(const char *access_log, struct mr_metrics *metrics, struct visits **ret,
            struct mr_err *err)
{
    MR_ASSERT(access_log != NULL);
    struct visits *visits = mr_alloc(sizeof(*visits));
    visits->metrics = metrics;
    int code = read_access_log(visits, access_log, err);
    if (code != 0) {
        free(visits);
        return code;
    }
    mr_random(&visits->number, sizeof(visits->number));
    visits->number &= UINT64_MAX << 32; /* the other half counts */
    open_cells(visits);
    *ret = visits;
    return 0;
}

void
visits_close(struct visits *visits)
{
    free(visits);
}

/* ---- one visit ---- */

void
visit_begin(struct visits *visits, struct mr_http_request *request)
{
    struct visit *visit = mr_arena_alloc(mr_http_arena(request), sizeof(*visit));
    *visit = (struct visit){ .number = ++visits->number, .begun_us = mr_now_us() };
    *mr_http_slot(request) = visit;
}

struct visit *
visit_of(struct mr_http_request *request)
{
    return *mr_http_slot(request);
}

const char *
visit_trace(struct mr_http_request *request)
{
    struct visit *visit = visit_of(request);
    if (visit->trace[0] == '\0' &&
        !trace_take(mr_http_header(request, "traceparent"), visit->trace))
        trace_make(visit->number, visit->trace);
    return visit->trace;
}

/* ---- the access log ---- */

static bool
is_logged(struct visits *visits, int status)
{
    bool is_nth = visits->every > 0 && ++visits->counted == visits->every;
    if (is_nth)
        visits->counted = 0;
    return is_nth || status >= visits->status_min;
}

static bool
has_room(struct visits *visits)
{
    int64_t second = mr_now_ms() / 1000;
    if (second != visits->second) {
        visits->second = second;
        visits->lines = 0;
    }
    if (visits->lines == VISITS_LINES_PER_S_MAX) {
        mr_add(visits->dropped, 1);
        return false;
    }
    visits->lines++;
    return true;
}

/* What RFC 3986 allows in a path stays, but for '=' and the apostrophe; "-" for nothing. */
static const char *
put_plain(struct mr_slice text, char ret[PLAIN_TEXT_MAX + 1])
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/-._~!$&()*+,;:@";
    const char *from = text.data;
    size_t at = 0;
    for (size_t i = 0; i < text.size && at + 3 <= PLAIN_TEXT_MAX; i++) {
        if (from[i] != '\0' && strchr(plain, from[i]) != NULL)
            ret[at++] = from[i];
        else
            at += (size_t)snprintf(ret + at, 4, "%%%02X", (unsigned char)from[i]);
    }
    if (at == 0)
        ret[at++] = '-';
    ret[at] = '\0';
    return ret;
}

static void
write_line(struct mr_http_request *request, int status, size_t body_bytes)
{
    char path[PLAIN_TEXT_MAX + 1], who[PLAIN_TEXT_MAX + 1], method[PLAIN_TEXT_MAX + 1];
    struct visit nobody = { 0 }, *visit = visit_of(request);
    if (visit == NULL)
        visit = &nobody;
    else
        (void)visit_trace(request);
    int64_t us = visit->begun_us > 0 ? mr_now_us() - visit->begun_us : 0;
    const char *name = visit->who != NULL ? principal_name(visit->who) : "";
    const char *dialect = visit->dialect != NULL ? dialect_names[visit->dialect->name] : "none";
    mr_log(MR_LOG_INFO, "request",
           " id=%016" PRIx64 " peer=%s principal=%s dialect=%s method=%s path=%s status=%d"
           " body_bytes=%zu answer_bytes=%zu events=%zu ms=%" PRId64 ".%03" PRId64 " trace=%.*s",
           visit->number, mr_http_peer(request), put_plain(mr_slice_text(name), who), dialect,
           put_plain(mr_http_method(request), method), put_plain(mr_http_path(request), path),
           status, mr_http_body(request).size, body_bytes, visit->events, us / 1000, us % 1000,
           TRACE_ID_TEXT, visit->trace[0] != '\0' ? visit->trace + TRACE_ID_AT : "-");
}

/* ---- metrics ---- */

/* A tenant keeps its place for ever; the first ones get the places. */
static struct tenant *
tenant_of(struct visits *visits, const struct visit *visit)
{
    struct mr_topic_name name;
    if (!mr_topic_parse(visit->topic, &name))
        return &visits->others;
    size_t at = mr_hash64(name.tenant, strlen(name.tenant), 0) % TENANT_SLOTS;
    while (visits->tenants[at].name[0] != '\0') {
        if (strcmp(visits->tenants[at].name, name.tenant) == 0)
            return &visits->tenants[at];
        at = (at + 1) % TENANT_SLOTS;
    }
    if (!visit->is_topic_found || visits->tenants_count == VISITS_TENANTS_MAX)
        return &visits->others;
    visits->tenants_count++;
    open_tenant(visits, &visits->tenants[at], name.tenant);
    return &visits->tenants[at];
}

static void
count_unread(struct visits *visits, int status)
{
    MR_ASSERT(status >= 400);
    MR_ASSERT(status <= STATUS_MAX);
    if (visits->refused[status] == NULL) {
        char text[16];
        const char *const reason = text;
        (void)snprintf(text, sizeof(text), "HTTP_%d", status);
        visits->refused[status] =
            mr_metrics_cell(visits->metrics, "millrace_gateway_refused_total", &reason);
    }
    mr_add(visits->refused[status], 1);
    mr_add(visits->unread[status / 100], 1);
}

static void
count(struct visits *visits, struct mr_http_request *request, int status, size_t body_bytes)
{
    const struct visit *visit = visit_of(request);
    size_t dialect = DIALECT_NONE;
    if (visit == NULL) {
        count_unread(visits, status);
    } else {
        if (visit->dialect != NULL)
            dialect = visit->dialect->name;
        if (visit->topic != NULL)
            mr_add(tenant_of(visits, visit)->requests[status / 100], 1);
        mr_observe_us(visits->seconds[dialect], mr_now_us() - visit->begun_us);
    }
    mr_observe_bytes(visits->body[dialect], (int64_t)mr_http_body(request).size);
    mr_observe_bytes(visits->answer_body[dialect], (int64_t)body_bytes);
}

void
visits_answered(void *self, struct mr_http_request *request, int status, size_t body_bytes)
{
    struct visits *visits = self;
    MR_ASSERT(status >= 200);
    MR_ASSERT(status <= STATUS_MAX);
    count(visits, request, status, body_bytes);
    if (is_logged(visits, status) && has_room(visits))
        write_line(request, status, body_bytes);
}
