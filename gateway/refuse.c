/*
 * Refusals in the words that each dialect's clients know: {"error_code","message"} for REST and
 * ours, {"__type","message"} for Kinesis, and {"message"} as API gateways answer for what stands
 * behind them.
 */
#include "gateway/dialects.h"
#include "gateway/identify.h"
#include "gateway/kinesis_native.h"

#include <stdio.h>

enum { LINES_BYTES = 512 };

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
words_of(const struct dialect *dialect)
{
    if (dialect->name != DIALECT_NAME_KINESIS)
        return WORDS_REST;
    return dialect == &kinesis_native ? WORDS_KINESIS : WORDS_GATEWAY;
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
put_body(struct form *form, enum words words, const struct shown *shown)
{
    const char *text = refusals[shown->refusal].gateway_text;
    if (words != WORDS_GATEWAY || text == NULL)
        text = shown->text;
    form_open(form, NULL, '{');
    if (words == WORDS_REST)
        form_int(form, "error_code", refusals[shown->refusal].rest_code);
    if (words == WORDS_KINESIS)
        form_text(form, "__type", mr_slice_text(refusals[shown->refusal].kinesis_type));
    form_text(form, "message", mr_slice_text(text));
    form_close(form, '}');
}

static int
status_of(enum words words, enum refusal refusal)
{
    if (words == WORDS_KINESIS)
        return refusal == REFUSED_BUSY ? 503 : 400;
    return words == WORDS_REST ? refusals[refusal].status : refusals[refusal].gateway_status;
}

void
refuse(const struct call *call, const struct dialect *dialect, const struct policy *policy,
       const struct shown *shown, int retry_s)
{
    enum words words = words_of(dialect);
    int status = status_of(words, shown->refusal);
    const struct back back = { call->gateway->replies, call->request, dialect };
    MR_CLEANUP(mr_buf_fini) struct mr_buf lines;
    MR_CLEANUP(form_fini) struct form form;
    mr_buf_init(&lines, LINES_BYTES);
    back_form(&back, &form);
    if (status == 401)
        put_challenges(&lines, policy);
    if (words != WORDS_REST)
        mr_buf_printf(&lines, "x-amzn-ErrorType: %s\r\n", refusals[shown->refusal].kinesis_type);
    if (retry_s > 0)
        mr_buf_printf(&lines, "Retry-After: %d\r\n", retry_s);
    put_body(&form, words, shown);
    MR_ASSERT(!lines.failed);
    MR_ASSERT(!form.body.failed);
    reply_send(
        call->gateway->replies, call->request, dialect,
        &(struct mr_http_reply){
            .status = status,
            .content_type = form.is_cbor ? "application/x-amz-cbor-1.1" : dialect->content_type,
            .headers = lines.data,
            .body = mr_buf_slice(&form.body),
        });
}
