/*
 * Refusals in the words that each dialect's clients know: {"error_code","message"} for REST and
 * ours, {"__type","message"} for Kinesis, and {"message"} as API gateways answer for what stands
 * behind them. X-Amz-Target tells Kinesis from what an API gateway passes on.
 */
#include "gateway/identify.h"

#include <stdio.h>

enum { LINES_BYTES = 512, BODY_BYTES = 2048 };

static const struct {
    int status, rest_code, gateway_status;
    const char *kinesis_type, *gateway_text;
} refusals[] = {
#define X(name, reason, status, rest_code, type, gateway_status, text)                             \
    { status, rest_code, gateway_status, type, text },
    REFUSALS(X)
#undef X
};

enum words { WORDS_REST, WORDS_KINESIS, WORDS_GATEWAY };

static enum words
words_of(const struct call *call, const struct dialect *dialect)
{
    if (dialect->name != DIALECT_NAME_KINESIS)
        return WORDS_REST;
    bool is_native = mr_http_header(call->request, "x-amz-target").data != NULL;
    return is_native ? WORDS_KINESIS : WORDS_GATEWAY;
}

/* What would be taken instead, for each way that the policy knows. */
static void
put_challenges(struct mr_buf *lines, const struct policy *policy)
{
    if (policy->credentials_count[METHOD_BASIC] > 0)
        mr_buf_text(lines, "WWW-Authenticate: Basic realm=\"millrace\", charset=\"UTF-8\"\r\n");
    if (policy->tokens.keys_count > 0)
        mr_buf_text(lines, "WWW-Authenticate: Bearer realm=\"millrace\"\r\n");
    if (policy->credentials_count[METHOD_SIGV4] > 0)
        mr_buf_text(lines, "WWW-Authenticate: AWS4-HMAC-SHA256\r\n");
    if (policy->credentials_count[METHOD_KEY] > 0)
        mr_buf_text(lines, "WWW-Authenticate: ApiKey realm=\"millrace\", header=\"x-api-key\"\r\n");
}

static void
put_body(struct mr_buf *body, enum words words, const struct shown *shown)
{
    const char *text = shown->text;
    if (words == WORDS_REST)
        mr_buf_printf(body, "{\"error_code\":%d,", refusals[shown->refusal].rest_code);
    else if (words == WORDS_KINESIS)
        mr_buf_printf(body, "{\"__type\":\"%s\",", refusals[shown->refusal].kinesis_type);
    else
        mr_buf_text(body, "{");
    if (words == WORDS_GATEWAY && refusals[shown->refusal].gateway_text != NULL)
        text = refusals[shown->refusal].gateway_text;
    mr_buf_text(body, "\"message\":");
    mr_buf_json(body, mr_slice_text(text));
    mr_buf_text(body, "}");
}

void
refuse(const struct call *call, const struct dialect *dialect, const struct policy *policy,
       const struct shown *shown, int retry_s)
{
    enum words words = words_of(call, dialect);
    int status = words == WORDS_REST              ? refusals[shown->refusal].status
                 : words == WORDS_GATEWAY         ? refusals[shown->refusal].gateway_status
                 : shown->refusal == REFUSED_BUSY ? 503
                                                  : 400;
    MR_CLEANUP(mr_buf_fini) struct mr_buf lines;
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    mr_buf_init(&lines, LINES_BYTES);
    mr_buf_init(&body, BODY_BYTES);
    if (status == 401)
        put_challenges(&lines, policy);
    if (words != WORDS_REST)
        mr_buf_printf(&lines, "x-amzn-ErrorType: %s\r\n", refusals[shown->refusal].kinesis_type);
    if (retry_s > 0)
        mr_buf_printf(&lines, "Retry-After: %d\r\n", retry_s);
    put_body(&body, words, shown);
    MR_ASSERT(!lines.failed);
    MR_ASSERT(!body.failed);
    if (lines.size > 0)
        mr_http_reply_lines(call->request, lines.data);
    reply_json(call->gateway->replies, call->request, dialect, status, mr_buf_slice(&body));
}
