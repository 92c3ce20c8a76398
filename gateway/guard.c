/*
 * Everything shown must be right and of one principal; who shows something wrong is never taken for
 * one who shows nothing. A client certificate that no principal names says nothing.
 *
 * API keys are kept as SHA-256: they are long and random, so that nobody can guess what was hashed,
 * and what a look-up by hash tells by its time says nothing about another key.
 */
#include "gateway/guard.h"

#include "clock/clock.h"
#include "gateway/dialects.h"
#include "gateway/identify.h"
#include "gateway/rates.h"
#include "log/log.h"
#include "names/names.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <strings.h>

enum {
    LOOK_EVERY_MS = 1000,
    LOG_EVERY_MS = 1000,
    KEY_BYTES_MAX = 1024,
    HASH_BYTES = 32,
    OUTCOMES = REFUSALS_COUNT + 1, /* the last: let in */
};

struct principal {
    struct principal *next;
    char name[POLICY_NAME_MAX + 1];
    const struct entry *entry; /* what it may do now; NULL: nothing */
    struct rate rate;
};

struct guard {
    struct guard_options options;
    struct policy *policy; /* NULL: there is none */
    struct principal *principals;
    struct principal nameless;
    struct passwords *passwords;
    struct tokens *tokens;
    struct rates_peers peers;
    EVP_MD *sha256;
    EVP_MD_CTX *digest;
    struct mr_cell *outcomes[METHODS][OUTCOMES], *broken;
    struct mr_log_gate gates[REFUSALS_COUNT];
    int64_t unlogged[REFUSALS_COUNT];
    int64_t look_next_ms, loaded_ms;
    char fault[MR_ERR_TEXT_MAX]; /* of the file as it stands now, or "" */
};

/* ---- principals ---- */

static const struct entry entry_all = {
    .name = "",
    .grants =
        &(struct grant){
            .rights = RIGHT_PRODUCE | RIGHT_CONSUME | RIGHT_QUERY | RIGHT_ADMIN,
        },
    .grants_count = 1,
};

const char *
principal_name(const struct principal *who)
{
    return who->name;
}

static bool
is_listed(const char *const *list, const char *name)
{
    if (list == NULL)
        return true;
    while (*list != NULL && strcmp(*list, name) != 0)
        list++;
    return *list != NULL;
}

bool
guard_may(const struct principal *who, enum right right, const char *topic)
{
    struct mr_topic_name name;
    const struct entry *entry = who->entry;
    bool is_ours = topic != NULL && mr_topic_parse(topic, &name);
    for (size_t i = 0; entry != NULL && i < entry->grants_count; i++) {
        const struct grant *grant = &entry->grants[i];
        if ((grant->rights & right) == 0)
            continue;
        if (topic == NULL || (grant->tenants == NULL && grant->kinds == NULL) ||
            (is_ours && is_listed(grant->tenants, name.tenant) &&
             is_listed(grant->kinds, name.kind)))
            return true;
    }
    return false;
}

static struct principal *
principal_of(struct guard *guard, const char *name)
{
    struct principal *one = guard->principals;
    while (one != NULL && strcmp(one->name, name) != 0)
        one = one->next;
    if (one == NULL) {
        one = mr_alloc(sizeof(*one));
        MR_ASSERT(strlen(name) < sizeof(one->name));
        memcpy(one->name, name, strlen(name) + 1);
        one->next = guard->principals;
        guard->principals = one;
    }
    return one;
}

static void
adopt(struct guard *guard, struct policy *policy)
{
    for (struct principal *one = guard->principals; one != NULL; one = one->next)
        one->entry = NULL;
    for (size_t i = 0; i < policy->entries_count; i++) {
        struct entry *entry = &policy->entries[i];
        entry->principal = principal_of(guard, entry->name);
        entry->principal->entry = entry;
    }
    guard->nameless.entry = policy->anonymous;
    if (policy->anonymous != NULL)
        policy->anonymous->principal = &guard->nameless;
    passwords_forget(guard->passwords);
    tokens_forget(guard->tokens);
    policy_close(guard->policy);
    guard->policy = policy;
    guard->loaded_ms = mr_wall_ms();
}

/* ---- the policy's file ---- */

int
guard_reload(struct guard *guard, struct mr_err *err)
{
    struct policy *policy = NULL;
    if (guard->options.policy == NULL)
        return 0;
    if (policy_open(guard->options.policy, &policy, err) != 0) {
        mr_set(guard->broken, 1);
        memcpy(guard->fault, err->text, sizeof(guard->fault));
        return err->code;
    }
    mr_set(guard->broken, 0);
    guard->fault[0] = '\0';
    adopt(guard, policy);
    return 0;
}

void
guard_step(struct guard *guard)
{
    struct mr_err err = { 0 };
    int64_t now_ms = mr_now_ms();
    if (guard->policy == NULL || now_ms < guard->look_next_ms)
        return;
    guard->look_next_ms = now_ms + LOOK_EVERY_MS;
    if (!policy_changed(guard->policy))
        return;
    bool was_broken = guard->fault[0] != '\0';
    if (guard_reload(guard, &err) == 0)
        mr_log(MR_LOG_INFO, "policy-read", " principals=%zu", guard->policy->entries_count);
    else if (!was_broken)
        mr_log_err(MR_LOG_ERROR, "policy-broken", &err, " note=\"the old one stays in force\"");
}

void
guard_status(const struct guard *guard, struct mr_buf *ret_json)
{
    if (guard->policy == NULL) {
        mr_buf_text(ret_json, "null");
        return;
    }
    char time[MR_TIME_TEXT];
    mr_time_text(guard->loaded_ms * 1000, time);
    mr_buf_printf(ret_json,
                  "{\"principals\":%zu,\"read\":\"%s\",\"broken\":", guard->policy->entries_count,
                  time);
    if (guard->fault[0] != '\0')
        mr_buf_json(ret_json, mr_slice_text(guard->fault));
    else
        mr_buf_text(ret_json, "null");
    mr_buf_text(ret_json, "}");
}

/* ---- who asks ---- */

static enum verdict
check_key(struct guard *guard, struct mr_http_request *request, struct shown *ret)
{
    struct mr_slice key = mr_http_header(request, "x-api-key");
    uint8_t hash[HASH_BYTES];
    char hex[2 * HASH_BYTES + 1];
    if (key.data == NULL)
        return NOT_SHOWN;
    ret->method = METHOD_KEY;
    if (key.size > KEY_BYTES_MAX)
        return shown_bad(ret, REFUSED_KEY, "x-api-key is longer than any key");
    int done = EVP_DigestInit_ex2(guard->digest, guard->sha256, NULL) &&
               EVP_DigestUpdate(guard->digest, key.data, key.size) &&
               EVP_DigestFinal_ex(guard->digest, hash, NULL);
    MR_ASSERT(done == 1);
    mr_hex(hash, sizeof(hash), hex);
    const struct credential *found = policy_find(guard->policy, METHOD_KEY, hex);
    if (found == NULL)
        return shown_bad(ret, REFUSED_KEY, "x-api-key is not a key of this door");
    ret->entry = found->entry;
    return GOOD;
}

/* "Basic xyz" after the word and its blanks. */
static bool
is_scheme(struct mr_slice header, const char *word, struct mr_slice *ret_rest)
{
    const char *text = header.data;
    size_t at = strlen(word);
    if (header.size <= at || strncasecmp(text, word, at) != 0 || text[at] != ' ')
        return false;
    while (at < header.size && text[at] == ' ')
        at++;
    *ret_rest = mr_slice(text + at, header.size - at);
    return true;
}

/* Signatures in the query end up in logs, and no client of Kinesis makes them. */
static enum verdict
check_presigned(struct guard *guard, struct mr_http_request *request, struct shown *ret)
{
    if (guard->policy->credentials_count[METHOD_SIGV4] == 0 || mr_http_query(request).size == 0 ||
        mr_http_param(request, "X-Amz-Algorithm").data == NULL)
        return NOT_SHOWN;
    ret->method = METHOD_SIGV4;
    return shown_bad(ret, REFUSED_FORM,
                     "signatures in the query are not taken; sign in the Authorization header");
}

static enum verdict
check_authorization(struct guard *guard, struct mr_http_request *request, struct shown *ret)
{
    struct mr_slice header = mr_http_header(request, "authorization"), rest;
    if (header.data == NULL)
        return check_presigned(guard, request, ret);
    if (is_scheme(header, "Basic", &rest))
        return passwords_check(guard->passwords, guard->policy, request, rest, ret);
    if (is_scheme(header, "Bearer", &rest))
        return tokens_check(guard->tokens, guard->policy, request, rest, ret);
    if (is_scheme(header, "AWS4-HMAC-SHA256", &rest))
        return guard->policy->credentials_count[METHOD_SIGV4] == 0
                   ? NOT_SHOWN /* SDKs sign whatever they send */
                   : signed_check(guard->policy, request, rest, ret);
    return shown_bad(ret, REFUSED_WRONG,
                     "the scheme of Authorization is not taken here; there are Basic, Bearer and "
                     "AWS4-HMAC-SHA256");
}

static enum verdict
check_certificate(struct guard *guard, struct mr_http_request *request, struct shown *ret)
{
    const char *name = mr_http_client_name(request);
    const struct credential *found =
        name != NULL ? policy_find(guard->policy, METHOD_TLS, name) : NULL;
    if (found == NULL)
        return NOT_SHOWN;
    ret->method = METHOD_TLS;
    ret->entry = found->entry;
    return GOOD;
}

static enum verdict
identify(struct guard *guard, struct mr_http_request *request, struct shown *ret)
{
    static enum verdict (*const checks[])(struct guard *, struct mr_http_request *,
                                          struct shown *) = { check_certificate, check_key,
                                                              check_authorization };
    enum verdict all = NOT_SHOWN;
    *ret = (struct shown){ .method = METHOD_NONE };
    for (size_t i = 0; i < MR_COUNT(checks); i++) {
        struct shown one = { .method = METHOD_NONE };
        enum verdict verdict = checks[i](guard, request, &one);
        if (verdict == NOT_SHOWN)
            continue;
        bool is_other = verdict == GOOD && all == GOOD && ret->entry != one.entry;
        *ret = one;
        all = verdict;
        if (is_other)
            return shown_bad(ret, REFUSED_WRONG, "the credentials shown are of two principals");
        if (verdict != GOOD)
            return verdict;
    }
    if (all == GOOD)
        return GOOD;
    ret->entry = guard->policy->anonymous;
    return ret->entry != NULL
               ? GOOD
               : shown_bad(ret, REFUSED_MISSING, "no credentials were sent; see WWW-Authenticate");
}

/* ---- letting in ---- */

static void
note(struct guard *guard, const struct call *call, const struct shown *shown)
{
    static const char *const reasons[] = {
#define X(name, reason, ...) reason,
        REFUSALS(X)
#undef X
    };
    enum refusal refusal = shown->refusal;
    guard->unlogged[refusal]++;
    if (!mr_log_due(&guard->gates[refusal], LOG_EVERY_MS))
        return;
    mr_log(MR_LOG_WARN, "refused", " why=%s principal=%s peer=%s times=%lld", reasons[refusal],
           mr_log_quote(mr_slice_text(shown->entry != NULL ? shown->entry->name : "")),
           mr_http_peer(call->request), (long long)guard->unlogged[refusal]);
    guard->unlogged[refusal] = 0;
}

/* 0, or so many seconds until the limits allow it. */
static int
take_rate(struct guard *guard, const struct call *call, const struct entry *entry,
          const struct limits *limits, size_t bytes)
{
    if (limits->requests_per_s == 0 && limits->bytes_per_s == 0)
        return 0;
    struct rate *rate = entry->principal != &guard->nameless
                            ? &entry->principal->rate
                            : rates_of_peer(&guard->peers, mr_http_peer(call->request));
    return rate_take(rate, limits, bytes, mr_now_us() * 1000);
}

bool
guard_spend(struct guard *guard, const struct call *call, size_t bytes)
{
    const struct entry *entry = call->who->entry;
    if (entry == NULL)
        return false;
    struct limits limits = { .bytes_per_s = entry->limits.bytes_per_s,
                             .burst_s = entry->limits.burst_s };
    return take_rate(guard, call, entry, &limits, bytes) == 0;
}

bool
guard_greet(struct guard *guard, struct call *call)
{
    return guard->policy == NULL || guard->policy->cors.origins == NULL ||
           !cors_serve(call, &guard->policy->cors);
}

bool
guard_admit(struct guard *guard, struct call *call, const struct dialect *dialect)
{
    struct shown shown;
    int retry_s = 0;
    call->who = &guard->nameless;
    if (guard->policy == NULL)
        return true;
    enum verdict verdict = identify(guard, call->request, &shown);
    if (verdict == LATER || !guard_greet(guard, call))
        return false;
    if (verdict == GOOD) {
        call->who = shown.entry->principal;
        retry_s = take_rate(guard, call, shown.entry, &shown.entry->limits,
                            mr_http_body(call->request).size);
    }
    if (retry_s > 0)
        verdict = shown_bad(&shown, REFUSED_RATE,
                            "this is more than the limits allow; try again after Retry-After");
    int outcome = verdict == GOOD ? OUTCOMES - 1 : (int)shown.refusal;
    mr_add(guard->outcomes[shown.method][outcome], 1);
    if (verdict == GOOD)
        return true;
    if (shown.refusal == REFUSED_BUSY)
        retry_s = 1;
    note(guard, call, &shown);
    refuse(call, dialect, guard->policy, &shown, retry_s);
    return false;
}

/* ---- open, close ---- */

static void
find_cells(struct guard *guard)
{
    static const char *const methods[METHODS] = {
        "none", "api-key", "basic", "jwt", "sigv4", "tls"
    };
    static const char *const outcomes[OUTCOMES] = {
#define X(name, reason, ...) reason,
        REFUSALS(X)
#undef X
            "admitted",
    };
    for (int method = 0; method < METHODS; method++) {
        for (int outcome = 0; outcome < OUTCOMES; outcome++) {
            const char *labels[] = { methods[method], outcomes[outcome] };
            guard->outcomes[method][outcome] =
                mr_metrics_cell(guard->options.metrics, "millrace_gateway_auth_total", labels);
        }
    }
    guard->broken = mr_metrics_cell(guard->options.metrics, "millrace_gateway_policy_broken", NULL);
}

int
guard_open(const struct guard_options *options, struct guard **ret, struct mr_err *err)
{
    struct guard *guard = mr_alloc(sizeof(*guard));
    guard->options = *options;
    if (options->policy != NULL && options->policy[0] == '\0')
        guard->options.policy = NULL;
    guard->nameless.entry = &entry_all;
    if (guard->options.policy != NULL)
        guard->passwords = passwords_open(options->again, options->self);
    guard->tokens = tokens_open();
    guard->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    guard->digest = EVP_MD_CTX_new();
    MR_ASSERT(guard->sha256 != NULL && guard->digest != NULL);
    find_cells(guard);
    if (guard_reload(guard, err) != 0) {
        guard_close(guard);
        return err->code;
    }
    *ret = guard;
    return 0;
}

void
guard_close(struct guard *guard)
{
    if (guard == NULL)
        return;
    passwords_close(guard->passwords);
    tokens_close(guard->tokens);
    policy_close(guard->policy);
    while (guard->principals != NULL) {
        struct principal *one = guard->principals;
        guard->principals = one->next;
        free(one);
    }
    EVP_MD_CTX_free(guard->digest);
    EVP_MD_free(guard->sha256);
    free(guard);
}

int
guard_fd(const struct guard *guard)
{
    return guard->passwords != NULL ? passwords_fd(guard->passwords) : -1;
}

void
guard_serve(void *self)
{
    struct guard *guard = self;
    passwords_serve(guard->passwords);
}
