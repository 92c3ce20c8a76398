/*
 * Error bodies: {"error_code":..,"message":..} as the REST proxy gives them, which our own dialect
 * shares, and {"__type":..,"message":..} as Kinesis does.
 */
#include "gateway/reply.h"

#include "gateway/visit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLASSES = 6, TEXT_BYTES = 1024, BODY_BYTES_MAX = 16 * 1024 };

const struct mr_metric gateway_metrics[] = {
    { "millrace_events_total", MR_COUNTER, "stage,tenant,kind,outcome",
      "Events by what became of them; at the gateway: in = posted, good = stored by Kafka." },
    { "millrace_gateway_requests_total", MR_COUNTER, "dialect,status",
      "Requests answered, by class of status; dialect none: refused before anyone read them." },
    { "millrace_gateway_tenant_requests_total", MR_COUNTER, "tenant,status",
      "Requests that posted events; tenants beyond the first 100, and unknown ones, as other." },
    { "millrace_gateway_refused_total", MR_COUNTER, "reason",
      "Requests refused as a whole, by fault; HTTP_<status>: before anyone read them." },
    { "millrace_gateway_request_seconds", MR_HISTOGRAM, "dialect",
      "Time from the whole request to its answer." },
    { "millrace_gateway_request_body_bytes", MR_HISTOGRAM, "dialect", "Bodies of requests." },
    { "millrace_gateway_answer_body_bytes", MR_HISTOGRAM, "dialect", "Bodies of answers." },
    { "millrace_gateway_access_lines_dropped_total", MR_COUNTER, "",
      "Lines of the access log beyond 500 in a second." },
    { "millrace_gateway_ack_seconds", MR_HISTOGRAM, "dialect",
      "Time from the whole request to its answer, for requests that posted events." },
    { "millrace_gateway_in_flight_bytes", MR_GAUGE, "",
      "Bytes of events that Kafka has not acknowledged yet." },
    { "millrace_gateway_receipts_total", MR_COUNTER, "outcome",
      "repeated: events that were stored before and got the same receipt; reused: requests with an "
      "id that is known with another value." },
    { "millrace_gateway_auth_total", MR_COUNTER, "method,outcome",
      "Requests by how they showed who they are from, and whether they were let in." },
    { "millrace_gateway_policy_broken", MR_GAUGE, "",
      "1 while the policy file cannot be used and an older one is in force." },
    { "millrace_gateway_connections", MR_GAUGE, "", "Open client connections." },
};
const size_t gateway_metrics_count = MR_COUNT(gateway_metrics);

const char *const dialect_names[DIALECT_NAMES] = { "rest", "kinesis", "events" };

struct replies {
    struct mr_cell *requests[DIALECT_NAMES][CLASSES];
    struct mr_cell *refused[FAULT_COUNT];
};

struct replies *
replies_open(struct mr_metrics *metrics)
{
    static const char *const classes[CLASSES] = { NULL, NULL, "2xx", "3xx", "4xx", "5xx" };
    static const char *const fault_names[FAULT_COUNT] = {
#define X(name, ...) #name,
        FAULTS(X)
#undef X
    };
    struct replies *replies = mr_alloc(sizeof(*replies));
    for (size_t i = 0; i < DIALECT_NAMES; i++) {
        for (size_t group = 2; group < CLASSES; group++) {
            const char *labels[] = { dialect_names[i], classes[group] };
            replies->requests[i][group] =
                mr_metrics_cell(metrics, "millrace_gateway_requests_total", labels);
        }
    }
    for (size_t i = 0; i < FAULT_COUNT; i++)
        replies->refused[i] =
            mr_metrics_cell(metrics, "millrace_gateway_refused_total", &fault_names[i]);
    return replies;
}

void
replies_close(struct replies *replies)
{
    free(replies);
}

void
reply_send(struct replies *replies, struct mr_http_request *request, const struct dialect *dialect,
           const struct mr_http_reply *reply)
{
    MR_ASSERT(reply->status >= 200);
    MR_ASSERT(reply->status < 600);
    mr_add(replies->requests[dialect->name][reply->status / 100], 1);
    visit_of(request)->dialect = dialect;
    mr_http_reply(request, reply);
}

void
reply_begin(struct replies *replies, struct mr_http_request *request, const struct dialect *dialect)
{
    mr_add(replies->requests[dialect->name][2], 1);
    visit_of(request)->dialect = dialect;
    mr_http_reply_begin(
        request, &(struct mr_http_reply){ .status = 200, .content_type = dialect->content_type });
}

void
reply_json(struct replies *replies, struct mr_http_request *request, const struct dialect *dialect,
           int status, struct mr_slice body)
{
    reply_send(replies, request, dialect,
               &(struct mr_http_reply){
                   .status = status,
                   .content_type = status == 204 ? NULL : dialect->content_type,
                   .headers = status == 503 ? "Retry-After: 1\r\n" : NULL,
                   .body = body,
               });
}

void
reply_page(struct replies *replies, struct mr_http_request *request, const struct dialect *dialect,
           const char *content_type, struct mr_slice body)
{
    mr_add(replies->requests[dialect->name][2], 1);
    visit_of(request)->dialect = dialect;
    mr_http_reply(request, &(struct mr_http_reply){
                               .status = 200,
                               .content_type = content_type,
                               .headers = "Vary: Accept, Host\r\n"
                                          "X-Content-Type-Options: nosniff\r\n"
                                          "Content-Security-Policy: default-src 'none'; "
                                          "style-src 'unsafe-inline'\r\n",
                               .body = body,
                           });
}

static const struct {
    int status, rest_code, kinesis_status;
    const char *kinesis_type;
} faults[] = {
#define X(name, status, rest_code, kinesis_status, type)                                           \
    { status, rest_code, kinesis_status, type },
    FAULTS(X)
#undef X
};

const char *
reply_kinesis_type(enum fault fault, int *ret_status)
{
    *ret_status = faults[fault].kinesis_status;
    return faults[fault].kinesis_type;
}

void
reply_clean(char *text)
{
    if (!mr_utf8_valid(mr_slice_text(text)))
        for (char *at = text; *at != '\0'; at++)
            if ((unsigned char)*at >= 0x80)
                *at = '?';
}

struct told {
    enum fault fault;
    int code; /* of the REST proxy; 0: the fault's own */
    char *text;
    struct mr_slice members;
};

static void
send_fault(struct replies *replies, struct mr_http_request *request, const struct dialect *dialect,
           const struct told *told)
{
    enum fault fault = told->fault;
    int code = told->code;
    char *text = told->text;
    reply_clean(text);
    mr_add(replies->refused[fault], 1);
    if (dialect->refuse != NULL) {
        dialect->refuse(replies, request, fault, text);
        return;
    }
    bool is_kinesis = dialect->name == DIALECT_NAME_KINESIS;
    int status = is_kinesis   ? faults[fault].kinesis_status
                 : code == 0  ? faults[fault].status
                 : code < 600 ? code
                              : code / 100;
    struct mr_buf body;
    mr_buf_init(&body, BODY_BYTES_MAX + told->members.size);
    if (is_kinesis)
        mr_buf_printf(&body, "{\"__type\":\"%s\",\"message\":", faults[fault].kinesis_type);
    else
        mr_buf_printf(
            &body, "{\"error_code\":%d,\"message\":", code == 0 ? faults[fault].rest_code : code);
    mr_buf_json(&body, mr_slice_text(text));
    mr_buf_put(&body, told->members.data, told->members.size);
    mr_buf_text(&body, "}");
    MR_ASSERT(!body.failed);
    reply_json(replies, request, dialect, status, mr_buf_slice(&body));
    mr_buf_fini(&body);
}

void
reply_fault(struct replies *replies, struct mr_http_request *request, const struct dialect *dialect,
            enum fault fault, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    send_fault(replies, request, dialect, &(struct told){ .fault = fault, .text = text });
}

void
reply_fault_code(struct replies *replies, struct mr_http_request *request,
                 const struct dialect *dialect, enum fault fault, int code, const char *text)
{
    char copy[TEXT_BYTES];
    (void)snprintf(copy, sizeof(copy), "%s", text);
    send_fault(replies, request, dialect,
               &(struct told){ .fault = fault, .code = code, .text = copy });
}

void
reply_fault_more(struct replies *replies, struct mr_http_request *request,
                 const struct dialect *dialect, enum fault fault, const char *text,
                 struct mr_slice members)
{
    char copy[TEXT_BYTES];
    (void)snprintf(copy, sizeof(copy), "%s", text);
    send_fault(replies, request, dialect,
               &(struct told){ .fault = fault, .text = copy, .members = members });
}

int
reply_event_code(int code, bool is_retriable)
{
    if (code == MR_E(TOO_LARGE))
        return 41301;
    if (code == MR_E(NOT_FOUND))
        return 40402;
    return is_retriable ? 50003 : 50002;
}

void
reply_put_number(struct mr_buf *buf, int64_t number)
{
    char digits[24];
    size_t at = sizeof(digits);
    MR_ASSERT(number >= 0);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    mr_buf_put(buf, digits + at, sizeof(digits) - at);
}
