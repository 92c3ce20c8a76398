/*
 * A JWKS file holds numbers; libjwt wants PEM. Keys for other uses or algorithms stand in such
 * files too and are passed over; one that is ours and does not hold together is an error.
 */
#include "gateway/policy_read.h"
#include "gateway/tokens.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

enum {
    JWKS_BYTES_MAX = 1 << 20,
    KEYS_MAX = 100,
    NUMBER_BYTES_MAX = 1024, /* a modulus of 8192 bits */
    RSA_BITS_MIN = 2048,
    SECRET_BYTES_MIN = 32, /* RFC 7518 3.2: as long as the hash */
    COORDINATE_BYTES = 32, /* P-256 */
    LEEWAY_S_MAX = 600,
    LEEWAY_S_DEFAULT = 60,
};

#define INVALID(err, ...) mr_fail(err, MR_E(INVALID), MR_FATAL, __VA_ARGS__)

static const char *const alg_names[TOKEN_ALGS] = { "RS256", "ES256", "HS256" };

const char *
token_alg_name(enum token_alg alg)
{
    return alg_names[alg];
}

int64_t
base64url_decode(struct mr_slice text, void *ret_bytes)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf plain;
    mr_buf_init(&plain, text.size + 4);
    for (size_t i = 0; i < text.size; i++) {
        char c = ((const char *)text.data)[i];
        if (c == '+' || c == '/' || c == '=')
            return -1;
        c = c == '-' ? '+' : c == '_' ? '/' : c;
        mr_buf_put(&plain, &c, 1);
    }
    while (plain.size % 4 != 0)
        mr_buf_put(&plain, "=", 1);
    MR_CLEANUP(mr_freep) char *bytes = mr_alloc(plain.size / 4 * 3 + 3);
    int64_t size = mr_base64_decode(mr_buf_slice(&plain), bytes);
    if (size > 0)
        memcpy(ret_bytes, bytes, (size_t)size);
    return size < 0 ? -1 : size;
}

/* ---- one key ---- */

struct number {
    unsigned char bytes[NUMBER_BYTES_MAX];
    size_t size;
};

static int
take_number(json_t *object, const char *field, struct number *ret, struct mr_err *err)
{
    const char *text = NULL;
    if (json_take_text(object, field, &text, err) != 0)
        return err->code;
    int64_t size = text == NULL || strlen(text) > NUMBER_BYTES_MAX
                       ? -1
                       : base64url_decode(mr_slice_text(text), ret->bytes);
    if (size < 0)
        return INVALID(err, "%s: base64url of at most %d characters is expected", field,
                       NUMBER_BYTES_MAX);
    ret->size = (size_t)size;
    return 0;
}

/* The PEM of a public key, in the policy's memory; NULL: OpenSSL does not take it. */
static const unsigned char *
make_pem(struct policy *policy, const char *type, OSSL_PARAM_BLD *parts, int *ret_bits,
         int *ret_size)
{
    const unsigned char *pem = NULL;
    char *text;
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(parts);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    BIO *bio = BIO_new(BIO_s_mem());
    MR_ASSERT(params != NULL && context != NULL && bio != NULL);
    if (EVP_PKEY_fromdata_init(context) == 1 &&
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) == 1 &&
        PEM_write_bio_PUBKEY(bio, key) == 1) {
        *ret_bits = EVP_PKEY_get_bits(key);
        *ret_size = (int)BIO_get_mem_data(bio, &text);
        pem = mr_arena_copy(&policy->arena, text, (size_t)*ret_size);
    }
    BIO_free(bio);
    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    return pem;
}

static int
take_rsa(struct policy *policy, json_t *object, struct token_key *ret, struct mr_err *err)
{
    struct number n, e;
    int bits = 0;
    if (take_number(object, "n", &n, err) != 0 || take_number(object, "e", &e, err) != 0)
        return err->code;
    BIGNUM *modulus = BN_bin2bn(n.bytes, (int)n.size, NULL);
    BIGNUM *exponent = BN_bin2bn(e.bytes, (int)e.size, NULL);
    OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
    MR_ASSERT(modulus != NULL && exponent != NULL && parts != NULL);
    int put = OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_N, modulus) &&
              OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_E, exponent);
    MR_ASSERT(put == 1);
    ret->alg = TOKEN_RS256;
    ret->bytes = make_pem(policy, "RSA", parts, &bits, &ret->size);
    bool is_odd = BN_is_odd(modulus) && BN_is_odd(exponent) && !BN_is_one(exponent);
    OSSL_PARAM_BLD_free(parts);
    BN_free(modulus);
    BN_free(exponent);
    if (ret->bytes == NULL || !is_odd || bits < RSA_BITS_MIN)
        return INVALID(err, "n and e are no RSA key of at least %d bits", RSA_BITS_MIN);
    return 0;
}

static int
take_ec(struct policy *policy, json_t *object, struct token_key *ret, struct mr_err *err)
{
    struct number x, y;
    unsigned char point[1 + 2 * COORDINATE_BYTES] = { POINT_CONVERSION_UNCOMPRESSED };
    int bits;
    if (take_number(object, "x", &x, err) != 0 || take_number(object, "y", &y, err) != 0)
        return err->code;
    if (x.size != COORDINATE_BYTES || y.size != COORDINATE_BYTES)
        return INVALID(err, "x and y: %d bytes are expected", COORDINATE_BYTES);
    memcpy(point + 1, x.bytes, COORDINATE_BYTES);
    memcpy(point + 1 + COORDINATE_BYTES, y.bytes, COORDINATE_BYTES);
    OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
    MR_ASSERT(parts != NULL);
    int put =
        OSSL_PARAM_BLD_push_utf8_string(parts, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
        OSSL_PARAM_BLD_push_octet_string(parts, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point));
    MR_ASSERT(put == 1);
    ret->alg = TOKEN_ES256;
    ret->bytes = make_pem(policy, "EC", parts, &bits, &ret->size);
    OSSL_PARAM_BLD_free(parts);
    return ret->bytes != NULL ? 0 : INVALID(err, "x and y are no point of P-256");
}

static int
take_secret(struct policy *policy, json_t *object, struct token_key *ret, struct mr_err *err)
{
    struct number secret;
    if (take_number(object, "k", &secret, err) != 0)
        return err->code;
    if (secret.size < SECRET_BYTES_MIN)
        return INVALID(err, "k: a secret of at least %d bytes is expected", SECRET_BYTES_MIN);
    ret->alg = TOKEN_HS256;
    ret->bytes = mr_arena_copy(&policy->arena, secret.bytes, secret.size);
    ret->size = (int)secret.size;
    return 0;
}

static const struct {
    const char *type, *curve;
    int (*take)(struct policy *policy, json_t *object, struct token_key *ret, struct mr_err *err);
} types[TOKEN_ALGS] = {
    [TOKEN_RS256] = { "RSA", NULL, take_rsa },
    [TOKEN_ES256] = { "EC", "P-256", take_ec },
    [TOKEN_HS256] = { "oct", NULL, take_secret },
};

static bool
is_text(json_t *object, const char *field, const char *text, bool when_absent)
{
    json_t *value = json_object_get(object, field);
    if (value == NULL)
        return when_absent;
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* The algorithm that a key is for, or TOKEN_ALGS: none of ours. */
static enum token_alg
alg_of(json_t *object)
{
    size_t alg = 0;
    while (alg < TOKEN_ALGS &&
           !(is_text(object, "kty", types[alg].type, false) &&
             is_text(object, "alg", alg_names[alg], true) && is_text(object, "use", "sig", true) &&
             (types[alg].curve == NULL || is_text(object, "crv", types[alg].curve, false))))
        alg++;
    return (enum token_alg)alg;
}

/* ---- the file ---- */

static int
take_key(struct policy *policy, json_t *object, struct mr_err *err)
{
    struct token_rules *rules = &policy->tokens;
    struct token_key key = { 0 };
    enum token_alg alg = alg_of(object);
    if (alg == TOKEN_ALGS || (rules->algs & 1U << alg) == 0)
        return 0;
    if (json_take_text(object, "kid", &key.kid, err) != 0 ||
        types[alg].take(policy, object, &key, err) != 0)
        return err->code;
    if (key.kid != NULL)
        key.kid = mr_arena_copy(&policy->arena, key.kid, strlen(key.kid));
    for (size_t i = 0; i < rules->keys_count; i++) {
        const struct token_key *other = &rules->keys[i];
        if (other->alg == alg &&
            (key.kid == NULL || other->kid == NULL || strcmp(key.kid, other->kid) == 0))
            return INVALID(err, "several keys of %s need each a kid of its own", alg_names[alg]);
    }
    rules->keys[rules->keys_count++] = key;
    return 0;
}

static int
take_keys(struct policy *policy, json_t *root, struct mr_err *err)
{
    json_t *list = NULL, *item;
    size_t i;
    if (!json_is_object(root) || json_take_list(root, "keys", KEYS_MAX, &list, err) != 0)
        return INVALID(err, "an object with keys is expected");
    struct token_rules *rules = &policy->tokens;
    rules->keys =
        mr_arena_alloc(&policy->arena, (json_array_size(list) + 1) * sizeof(*rules->keys));
    json_array_foreach(list, i, item)
    {
        if (take_key(policy, item, err) != 0)
            return mr_fail_in(err, "keys[%zu]", i);
    }
    if (rules->keys_count == 0)
        return INVALID(err, "there is no key for the algorithms that the policy allows");
    for (i = 0; i < rules->keys_count; i++)
        if (rules->keys[i].alg == TOKEN_HS256)
            return policy_private(policy, err);
    return 0;
}

static int
take_file(struct policy *policy, const char *name, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf bytes;
    json_error_t where;
    mr_buf_init(&bytes, JWKS_BYTES_MAX);
    if (policy_file(policy, name, &bytes, err) != 0)
        return err->code;
    json_t *root =
        json_loadb(bytes.size > 0 ? bytes.data : "", bytes.size, JSON_REJECT_DUPLICATES, &where);
    int code = root == NULL ? INVALID(err, "%s (line %d)", where.text, where.line)
                            : take_keys(policy, root, err);
    json_decref(root);
    return code != 0 ? mr_fail_in(err, "%s", name) : 0;
}

/* ---- the section of the policy ---- */

static int
take_algs(struct policy *policy, json_t *section, struct mr_err *err)
{
    const char **names = NULL;
    if (json_take_texts(section, "algorithms", &policy->arena, &names, err) != 0)
        return err->code;
    for (; names != NULL && *names != NULL; names++) {
        size_t alg = 0;
        while (alg < TOKEN_ALGS && strcmp(alg_names[alg], *names) != 0)
            alg++;
        if (alg == TOKEN_ALGS)
            return INVALID(err, "algorithms: \"%s\" is not taken: there are RS256, ES256, HS256",
                           *names);
        policy->tokens.algs |= 1U << alg;
    }
    if (policy->tokens.algs == 0)
        return INVALID(err, "algorithms: say which of RS256, ES256, HS256");
    return 0;
}

int
token_rules_read(struct policy *policy, struct mr_err *err)
{
    json_t *section = json_object_get(policy->json, "jwt");
    struct token_rules *rules = &policy->tokens;
    const char *file = NULL;
    if (section == NULL)
        return 0;
    rules->leeway_s = LEEWAY_S_DEFAULT;
    if (json_check_names(section, "jwks_file issuer audience algorithms leeway_s", err) != 0 ||
        json_take_text(section, "jwks_file", &file, err) != 0 ||
        json_take_text(section, "issuer", &rules->issuer, err) != 0 ||
        json_take_text(section, "audience", &rules->audience, err) != 0 ||
        json_take_number(section, "leeway_s", LEEWAY_S_MAX, &rules->leeway_s, err) != 0 ||
        take_algs(policy, section, err) != 0)
        return err->code;
    if (file == NULL || rules->issuer == NULL || rules->audience == NULL)
        return INVALID(err, "jwks_file, issuer and audience are needed, or tokens for others "
                            "would open this door");
    return take_file(policy, file, err);
}
