/*
 * What the files behind the guard share: one check for each way of showing who one is.
 *
 *   guard.c      who asks, and whether to let in
 *   passwords.c  Basic
 *   tokens.c     Bearer JWT
 *   signed.c     AWS Signature Version 4
 *   refuse.c     refusals in each dialect's words
 *   cors.c       what browsers ask first
 */
#ifndef MR_IDENTIFY_H
#define MR_IDENTIFY_H

#include "gateway/call.h"
#include "gateway/known.h"
#include "gateway/policy.h"

enum verdict { NOT_SHOWN, GOOD, BAD, LATER };

/* X(name, reason in logs and metrics, status, REST code, Kinesis type, status behind an API
 * gateway, its words; NULL: ours) */
#define REFUSALS(X)                                                                                \
    X(MISSING, "missing", 401, 40101, "MissingAuthenticationTokenException", 401, "Unauthorized")  \
    X(KEY, "unknown-key", 401, 40101, "UnrecognizedClientException", 403, "Forbidden")             \
    X(WRONG, "wrong", 401, 40101, "UnrecognizedClientException", 401, "Unauthorized")              \
    X(FORM, "malformed", 401, 40101, "IncompleteSignatureException", 403, NULL)                    \
    X(ACCESS_KEY, "unknown-access-key", 401, 40101, "UnrecognizedClientException", 403, NULL)      \
    X(SIGNATURE, "signature", 401, 40101, "InvalidSignatureException", 403, NULL)                  \
    X(RATE, "rate", 429, 429, "ProvisionedThroughputExceededException", 429, "Too Many Requests")  \
    X(BUSY, "busy", 503, 50003, "ServiceUnavailableException", 503, "Service Unavailable")

enum refusal {
#define X(name, ...) REFUSED_##name,
    REFUSALS(X)
#undef X
        REFUSALS_COUNT
};

/* What came of looking at a request. */
struct shown {
    enum method method;
    enum refusal refusal; /* when it is BAD */
    const char *text;     /* for the client; names no secret */
    struct entry *entry;  /* when it is GOOD */
};

static inline enum verdict
shown_bad(struct shown *shown, enum refusal refusal, const char *text)
{
    shown->refusal = refusal;
    shown->text = text;
    return BAD;
}

/* ---- passwords.c ---- */

struct passwords;
/* again: called with a request whose password has been judged; it takes its way anew. */
struct passwords *passwords_open(mr_http_handler *again, void *self);
void passwords_close(struct passwords *passwords);
int passwords_fd(const struct passwords *passwords);
void passwords_serve(void *passwords);
/* encoded: what follows "Basic ". */
enum verdict passwords_check(struct passwords *passwords, const struct policy *policy,
                             struct mr_http_request *request, struct mr_slice encoded,
                             struct shown *ret);
void passwords_forget(struct passwords *passwords); /* the policy is another one */

/* ---- tokens.c ---- */

struct tokens;
struct tokens *tokens_open(void);
void tokens_close(struct tokens *tokens);
enum verdict tokens_check(struct tokens *tokens, const struct policy *policy,
                          struct mr_http_request *request, struct mr_slice token,
                          struct shown *ret);
void tokens_forget(struct tokens *tokens); /* the policy is another one */

/* ---- signed.c ---- */

/* fields: what follows "AWS4-HMAC-SHA256 ". */
enum verdict signed_check(const struct policy *policy, struct mr_http_request *request,
                          struct mr_slice fields, struct shown *ret);

/* ---- refuse.c ---- */

/* retry_s: for a refusal that passes; 0: none. */
void refuse(const struct call *call, const struct dialect *dialect, const struct policy *policy,
            const struct shown *shown, int retry_s);

/* ---- cors.c ---- */

/* Adds the header lines that the request's origin needs to its reply. True: it was a preflight and
 * is answered. */
bool cors_serve(const struct call *call, const struct cors *cors);

#endif
