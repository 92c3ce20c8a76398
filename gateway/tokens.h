/*
 * tokens: Bearer JSON Web Tokens signed with RS256, ES256 or HS256 by a key of a local JWKS file.
 *
 * A token names its algorithm itself, which is how forged ones work: here the key decides. A key
 * serves one algorithm, the policy says which may be used at all, and "none" cannot be said.
 */
#ifndef MR_TOKENS_H
#define MR_TOKENS_H

#include "base/base.h"

struct policy;

enum token_alg { TOKEN_RS256, TOKEN_ES256, TOKEN_HS256, TOKEN_ALGS };

struct token_key {
    const char *kid; /* NULL: it has no name */
    enum token_alg alg;
    const unsigned char *bytes; /* PEM, or the secret */
    int size;
};

/* What the policy says about tokens; lives in its memory. */
struct token_rules {
    const char *issuer, *audience;
    int64_t leeway_s;
    unsigned algs; /* bits */
    struct token_key *keys;
    size_t keys_count; /* 0: tokens are not taken */
};

const char *token_alg_name(enum token_alg alg);

/* jwks.c: reads the section "jwt" of the policy and the file that it names. */
int token_rules_read(struct policy *policy, struct mr_err *err);
/* Base64 in the alphabet of URLs, without padding. ret_bytes has room for the text's size. Count of
 * bytes, or -1. */
int64_t base64url_decode(struct mr_slice text, void *ret_bytes);

#endif
