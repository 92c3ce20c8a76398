/*
 * The header of a token is read here before libjwt sees the token, and says which key to look for;
 * the key says which algorithm must be used. What libjwt then took must be that one. Tokens that
 * were good stay known until they expire, as a signature costs more than all the rest.
 */
#include "gateway/tokens.h"

#include "clock/clock.h"
#include "gateway/identify.h"

#include <jansson.h>
#include <jwt.h>
#include <stdlib.h>

enum { TOKEN_BYTES_MAX = 8 * 1024 };

static const double second_max = 1e11; /* of a time in a token: the year 5138 */

static const jwt_alg_t libjwt_algs[TOKEN_ALGS] = { JWT_ALG_RS256, JWT_ALG_ES256, JWT_ALG_HS256 };

struct tokens {
    uint8_t secret[KNOWN_HASH_BYTES];
    struct known good;
};

struct tokens *
tokens_open(void)
{
    struct tokens *tokens = mr_alloc(sizeof(*tokens));
    mr_random(tokens->secret, sizeof(tokens->secret));
    return tokens;
}

void
tokens_close(struct tokens *tokens)
{
    free(tokens);
}

void
tokens_forget(struct tokens *tokens)
{
    memset(&tokens->good, 0, sizeof(tokens->good));
}

/* ---- the header ---- */

static bool
is_text(json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static const struct token_key *
find_key(const struct token_rules *rules, json_t *header)
{
    json_t *kid = json_object_get(header, "kid");
    const struct token_key *found = NULL;
    for (size_t i = 0; i < rules->keys_count; i++) {
        const struct token_key *key = &rules->keys[i];
        if (!is_text(json_object_get(header, "alg"), token_alg_name(key->alg)))
            continue;
        if (kid != NULL ? key->kid != NULL && is_text(kid, key->kid) : found == NULL)
            found = key;
        else if (kid == NULL)
            return NULL; /* there are several, and the token does not say which */
    }
    return found;
}

/* The JSON in a part of the token; NULL: it is none. */
static json_t *
read_part(const char *part)
{
    size_t size = strcspn(part, ".");
    MR_CLEANUP(mr_freep) char *text = mr_alloc(size + 1);
    int64_t length = base64url_decode(mr_slice(part, size), text);
    return length > 0 ? json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

/* The key that the token's header asks for; NULL: there is none, or more is asked for. */
static const struct token_key *
key_of(const struct token_rules *rules, const char *token)
{
    json_t *header = read_part(token);
    const struct token_key *key = NULL;
    /* crit: what must be understood (RFC 7515 4.1.11), and nothing is. */
    if (json_is_object(header) && json_object_get(header, "crit") == NULL)
        key = find_key(rules, header);
    json_decref(header);
    return key;
}

/* ---- the claims ---- */

/* The value is the text, or a list with it. */
static bool
has_text(json_t *value, const char *text)
{
    json_t *item;
    size_t i;
    json_array_foreach(value, i, item)
    {
        if (is_text(item, text))
            return true;
    }
    return is_text(value, text);
}

static struct entry *
entry_of(const struct policy *policy, json_t *claims)
{
    for (size_t i = 0; i < policy->entries_count; i++) {
        struct entry *entry = &policy->entries[i];
        size_t at = 0;
        while (at < entry->claims_count &&
               has_text(json_object_get(claims, entry->claims[at].name), entry->claims[at].value))
            at++;
        if (at > 0 && at == entry->claims_count)
            return entry;
    }
    return NULL;
}

static bool
is_time(json_t *value)
{
    double seconds = json_number_value(value);
    return json_is_number(value) && seconds >= 0 && seconds < second_max;
}

static const char *
judge(const struct policy *policy, json_t *claims, struct entry **ret, int64_t *ret_until_ms)
{
    const struct token_rules *rules = &policy->tokens;
    json_t *expires = json_object_get(claims, "exp"), *begins = json_object_get(claims, "nbf");
    double now_s = (double)mr_wall_ms() / 1000, leeway_s = (double)rules->leeway_s;
    if (!is_time(expires))
        return "the token has no time of expiry (exp)";
    if (now_s >= json_number_value(expires) + leeway_s)
        return "the token has expired (exp)";
    if (begins != NULL && (!is_time(begins) || now_s < json_number_value(begins) - leeway_s))
        return "the token is not valid yet (nbf)";
    if (!is_text(json_object_get(claims, "iss"), rules->issuer))
        return "the token is not of the issuer that is trusted here (iss)";
    if (!has_text(json_object_get(claims, "aud"), rules->audience))
        return "the token is for somebody else (aud)";
    *ret = entry_of(policy, claims);
    *ret_until_ms = (int64_t)((json_number_value(expires) + leeway_s) * 1000);
    return *ret != NULL ? NULL : "the token is good, and no principal has its claims";
}

/* ---- the whole ---- */

static const char *
check(const struct policy *policy, const char *token, struct entry **ret, int64_t *ret_until_ms)
{
    const struct token_key *key = key_of(&policy->tokens, token);
    jwt_t *jwt = NULL;
    if (key == NULL)
        return "the token names no key and algorithm that are trusted here (kid, alg)";
    if (jwt_decode(&jwt, token, key->bytes, key->size) != 0)
        return "the signature of the token is wrong";
    bool is_right = jwt_get_alg(jwt) == libjwt_algs[key->alg];
    jwt_free(jwt);
    if (!is_right)
        return "the signature of the token is wrong";
    json_t *claims = read_part(strchr(token, '.') + 1);
    const char *fault = judge(policy, claims, ret, ret_until_ms);
    json_decref(claims);
    return fault;
}

static bool
is_token(struct mr_slice text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    const char *at = text.data;
    size_t dots = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (memchr(plain, at[i], sizeof(plain) - 1) == NULL)
            return false;
        dots += at[i] == '.';
    }
    return text.size <= TOKEN_BYTES_MAX && dots == 2;
}

enum verdict
tokens_check(struct tokens *tokens, const struct policy *policy, struct mr_http_request *request,
             struct mr_slice token, struct shown *ret)
{
    struct known_key key;
    int64_t until_ms;
    ret->method = METHOD_JWT;
    if (policy->tokens.keys_count == 0)
        return shown_bad(ret, REFUSED_WRONG, "bearer tokens are not taken here");
    if (!is_token(token))
        return shown_bad(ret, REFUSED_WRONG, "Authorization: Bearer is no signed token");
    known_hash(tokens->secret, token, &key);
    if (known_get(&tokens->good, &key, mr_wall_ms(), &ret->entry))
        return GOOD;
    const char *text = mr_arena_copy(mr_http_arena(request), token.data, token.size);
    const char *fault = check(policy, text, &ret->entry, &until_ms);
    if (fault != NULL)
        return shown_bad(ret, REFUSED_WRONG, fault);
    known_put(&tokens->good, &key, ret->entry, until_ms);
    return GOOD;
}
