/*
 * Bearer tokens, good ones and the known ways to forge one. Tokens are signed here by OpenSSL, with
 * keys made for the run, so that nothing checks itself.
 */
#include "guard_fixture.h"

#include "clock/clock.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#define SECRET     "0123456789abcdef0123456789abcdef"
#define SECRET_B64 "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"

enum { PART_BYTES = 4096, NOW_S = 1800000000 };

static EVP_PKEY *rsa, *ec;

static const char *
policy_for(const char *algorithms)
{
    static char text[1024];
    (void)snprintf(text, sizeof(text),
                   "{'jwt':{'jwks_file':'jwks.json','issuer':'https://id','audience':'millrace',"
                   "'algorithms':[%s],'leeway_s':30},"
                   "'principals':[{'name':'ann','jwt':{'sub':'ann','scope':'post'},'grants':"
                   "[{'tenants':['*'],'kinds':['*'],'rights':['produce']}]}],"
                   "'anonymous':{'grants':[{'tenants':['*'],'kinds':['*'],'rights':['produce']}]}}",
                   algorithms);
    return text;
}

/* ---- making tokens ---- */

static void
put_url64(struct mr_buf *text, const void *bytes, size_t size)
{
    struct mr_buf plain;
    mr_buf_init(&plain, PART_BYTES * 4);
    mr_base64_encode(mr_slice(bytes, size), &plain);
    for (size_t i = 0; i < plain.size && plain.data[i] != '='; i++) {
        char c = plain.data[i] == '+' ? '-' : plain.data[i] == '/' ? '_' : plain.data[i];
        mr_buf_put(text, &c, 1);
    }
    mr_buf_fini(&plain);
}

static void
put_json(struct mr_buf *text, const char *json)
{
    char quoted[PART_BYTES * 2];
    size_t size = strlen(json);
    assert_true(size < sizeof(quoted));
    for (size_t i = 0; i <= size; i++)
        quoted[i] = json[i] == '\'' ? '"' : json[i];
    put_url64(text, quoted, size);
}

static size_t
sign_key(EVP_PKEY *key, const struct mr_buf *text, unsigned char ret[512])
{
    size_t size = 512;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(
        EVP_DigestSign(context, ret, &size, (const unsigned char *)text->data, text->size), 1);
    EVP_MD_CTX_free(context);
    return size;
}

/* r and s, each in 32 bytes, from DER. */
static size_t
raw_of(unsigned char signature[512], size_t size)
{
    const unsigned char *at = signature;
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &at, (long)size);
    assert_non_null(parts);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(parts), signature, 32), 32);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(parts), signature + 32, 32), 32);
    ECDSA_SIG_free(parts);
    return 64;
}

enum how { BY_RSA, BY_EC, BY_EC_DER, BY_SECRET, BY_PEM, BY_NOBODY };

/* "Authorization: Bearer ..." */
static const char *
token(enum how how, const char *header, const char *claims)
{
    static char line[6 * PART_BYTES];
    unsigned char signature[512];
    unsigned hmac_size = 0;
    size_t size = 0;
    struct mr_buf text;
    mr_buf_init(&text, sizeof(line) - 100);
    put_json(&text, header);
    mr_buf_text(&text, ".");
    put_json(&text, claims);
    if (how == BY_RSA) {
        size = sign_key(rsa, &text, signature);
    } else if (how == BY_EC || how == BY_EC_DER) {
        size = sign_key(ec, &text, signature);
        size = how == BY_EC ? raw_of(signature, size) : size;
    } else if (how == BY_SECRET || how == BY_PEM) {
        char *pem = NULL;
        BIO *bio = BIO_new(BIO_s_mem());
        assert_int_equal(PEM_write_bio_PUBKEY(bio, rsa), 1);
        long pem_size = BIO_get_mem_data(bio, &pem);
        (void)HMAC(EVP_sha256(), how == BY_PEM ? pem : SECRET,
                   how == BY_PEM ? (int)pem_size : (int)strlen(SECRET),
                   (const unsigned char *)text.data, text.size, signature, &hmac_size);
        size = hmac_size;
        BIO_free(bio);
    }
    mr_buf_text(&text, ".");
    put_url64(&text, signature, size);
    assert_false(text.failed);
    (void)snprintf(line, sizeof(line), "Authorization: Bearer %s\r\n", text.data);
    mr_buf_fini(&text);
    return line;
}

#define CLAIMS_AT(exp, more)                                                                       \
    "{'iss':'https://id','aud':'millrace','sub':'ann','scope':['read','post'],'exp':" exp more "}"
#define CLAIMS CLAIMS_AT("1800000600", "")
#define RS     "{'alg':'RS256','kid':'r1','typ':'JWT'}"
#define ES     "{'alg':'ES256','kid':'e1'}"
#define HS     "{'alg':'HS256','kid':'h1'}"

/* ---- the door ---- */

static void
put_number(struct mr_buf *text, EVP_PKEY *key, const char *part, int size)
{
    unsigned char bytes[512];
    BIGNUM *number = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(key, part, &number), 1);
    size = size > 0 ? size : BN_num_bytes(number);
    assert_int_equal(BN_bn2binpad(number, bytes, size), size);
    BN_free(number);
    put_url64(text, bytes, (size_t)size);
}

static void
write_keys(const struct guarded *guarded, unsigned mode)
{
    struct mr_buf text;
    mr_buf_init(&text, 64 * 1024);
    mr_buf_text(&text, "{'keys':[{'kty':'RSA','kid':'r1','use':'sig','e':'");
    put_number(&text, rsa, OSSL_PKEY_PARAM_RSA_E, 0);
    mr_buf_text(&text, "','n':'");
    put_number(&text, rsa, OSSL_PKEY_PARAM_RSA_N, 0);
    mr_buf_text(&text, "'},{'kty':'EC','crv':'P-256','kid':'e1','x':'");
    put_number(&text, ec, OSSL_PKEY_PARAM_EC_PUB_X, 32);
    mr_buf_text(&text, "','y':'");
    put_number(&text, ec, OSSL_PKEY_PARAM_EC_PUB_Y, 32);
    mr_buf_text(&text, "'},{'kty':'RSA','use':'enc','n':'AQAB','e':'AQAB'},"
                       "{'kty':'oct','kid':'h1','k':'" SECRET_B64 "'}]}");
    guarded_file(guarded, "jwks.json", text.data, mode);
    mr_buf_fini(&text);
}

static void
open_for(struct guarded *guarded, const char *algorithms)
{
    *guarded = (struct guarded){ .folder = "/tmp/millrace-tokens-XXXXXX" };
    assert_non_null(mkdtemp(guarded->folder));
    write_keys(guarded, 0600);
    mr_clock_hold(1000, (int64_t)NOW_S * 1000000);
    guarded_open(guarded, policy_for(algorithms));
}

static void
close_all(struct guarded *guarded)
{
    guarded_close(guarded);
    mr_clock_release();
}

#define ALL "'RS256','ES256','HS256'"

static void
a_good_token_is_taken(void **state)
{
    (void)state;
    struct guarded guarded;
    struct stored stored;
    open_for(&guarded, ALL);
    for (int i = 0; i < 2; i++) { /* the second time it is known */
        assert_int_equal(guarded_post(&guarded, TOPIC, token(BY_RSA, RS, CLAIMS), NULL), 200);
        assert_int_equal(guarded_post(&guarded, TOPIC, token(BY_EC, ES, CLAIMS), NULL), 200);
        assert_int_equal(guarded_post(&guarded, TOPIC, token(BY_SECRET, HS, CLAIMS), NULL), 200);
    }
    assert_int_equal(guarded_count(&guarded, "jwt", "admitted"), 6);
    stored_read(&guarded.gate, TOPIC, &stored);
    assert_string_equal(stored.provenance[0]->principal, "ann");
    stored_fini(&stored);
    close_all(&guarded);
}

static const struct {
    const char *what;
    enum how how;
    const char *header, *claims;
} forged[] = {
    { "unsigned", BY_NOBODY, "{'alg':'none'}", CLAIMS },
    { "unsigned, with a key", BY_NOBODY, "{'alg':'none','kid':'r1'}", CLAIMS },
    { "unsigned, in capitals", BY_NOBODY, "{'alg':'NONE','kid':'r1'}", CLAIMS },
    { "no signature", BY_NOBODY, RS, CLAIMS },
    { "the public key as a secret", BY_PEM, "{'alg':'HS256','kid':'r1'}", CLAIMS },
    { "the public key as the other secret", BY_PEM, HS, CLAIMS },
    { "a secret for a public key", BY_SECRET, RS, CLAIMS },
    { "the key of another algorithm", BY_RSA, "{'alg':'RS256','kid':'e1'}", CLAIMS },
    { "an unknown key", BY_RSA, "{'alg':'RS256','kid':'r2'}", CLAIMS },
    { "a key that is a number", BY_RSA, "{'alg':'RS256','kid':1}", CLAIMS },
    { "another algorithm of the family", BY_RSA, "{'alg':'RS512','kid':'r1'}", CLAIMS },
    { "no algorithm", BY_RSA, "{'kid':'r1'}", CLAIMS },
    { "two algorithms", BY_RSA, "{'alg':'none','alg':'RS256','kid':'r1'}", CLAIMS },
    { "critical header", BY_RSA, "{'alg':'RS256','kid':'r1','crit':['exp']}", CLAIMS },
    { "DER instead of r and s", BY_EC_DER, ES, CLAIMS },
    { "header that is a list", BY_RSA, "[]", CLAIMS },
    { "header that is no JSON", BY_RSA, "{", CLAIMS },
    { "claims that are a list", BY_RSA, RS, "[]" },
    { "expired", BY_RSA, RS, CLAIMS_AT("1799999970", "") },
    { "no expiry", BY_RSA, RS, "{'iss':'https://id','aud':'millrace','sub':'ann','scope':'post'}" },
    { "an expiry in words", BY_RSA, RS, CLAIMS_AT("'1800000600'", "") },
    { "an expiry beyond all numbers", BY_RSA, RS, CLAIMS_AT("1e300", "") },
    { "not valid yet", BY_RSA, RS, CLAIMS_AT("1800000600", ",'nbf':1800000031") },
    { "two expiries", BY_RSA, RS, CLAIMS_AT("1", ",'exp':1800000600") },
    { "another issuer", BY_RSA, RS,
      "{'iss':'https://evil','aud':'millrace','sub':'ann','scope':'post','exp':1800000600}" },
    { "another audience", BY_RSA, RS,
      "{'iss':'https://id','aud':['bank'],'sub':'ann','scope':'post','exp':1800000600}" },
    { "another subject", BY_RSA, RS,
      "{'iss':'https://id','aud':'millrace','sub':'eve','scope':'post','exp':1800000600}" },
    { "a scope that is not granted", BY_RSA, RS,
      "{'iss':'https://id','aud':'millrace','sub':'ann','scope':'read','exp':1800000600}" },
};

static void
no_forged_token_is_taken(void **state)
{
    (void)state;
    struct guarded guarded;
    open_for(&guarded, ALL);
    for (size_t i = 0; i < MR_COUNT(forged); i++)
        if (guarded_post(&guarded, TOPIC, token(forged[i].how, forged[i].header, forged[i].claims),
                         NULL) != 401)
            fail_msg("a forged token was taken: %s", forged[i].what);
    assert_int_equal(guarded_count(&guarded, "jwt", "admitted"), 0);
    close_all(&guarded);
}

static void
what_the_policy_does_not_allow_is_not_taken(void **state)
{
    (void)state;
    struct guarded guarded;
    open_for(&guarded, "'RS256'");
    assert_int_equal(guarded_post(&guarded, TOPIC, token(BY_RSA, RS, CLAIMS), NULL), 200);
    assert_int_equal(guarded_post(&guarded, TOPIC, token(BY_SECRET, HS, CLAIMS), NULL), 401);
    assert_int_equal(guarded_post(&guarded, TOPIC, token(BY_EC, ES, CLAIMS), NULL), 401);
    /* One key of the algorithm needs no name. */
    assert_int_equal(guarded_post(&guarded, TOPIC, token(BY_RSA, "{'alg':'RS256'}", CLAIMS), NULL),
                     200);
    close_all(&guarded);
}

static void
every_changed_byte_makes_a_token_wrong(void **state)
{
    (void)state;
    static const char other[] = "AQ-_";
    struct guarded guarded;
    char line[6 * PART_BYTES];
    open_for(&guarded, ALL);
    (void)snprintf(line, sizeof(line), "%s", token(BY_EC, ES, CLAIMS));
    size_t start = strlen("Authorization: Bearer "), end = strlen(line) - 2;
    for (size_t i = start; i < end - 1; i += 7) { /* the last one holds bits that mean nothing */
        char kept = line[i];
        line[i] = kept == '.' ? 'A' : other[i % 4] == kept ? 'z' : other[i % 4];
        assert_int_equal(guarded_post(&guarded, TOPIC, line, NULL), 401);
        line[i] = kept;
    }
    assert_int_equal(guarded_post(&guarded, TOPIC, line, NULL), 200);
    close_all(&guarded);
}

static void
a_known_token_expires(void **state)
{
    (void)state;
    struct guarded guarded;
    open_for(&guarded, ALL);
    assert_int_equal(guarded_post(&guarded, TOPIC, token(BY_RSA, RS, CLAIMS), NULL), 200);
    mr_clock_crank(629 * 1000);
    assert_int_equal(guarded_post(&guarded, TOPIC, token(BY_RSA, RS, CLAIMS), NULL), 200);
    mr_clock_crank(1000);
    assert_int_equal(guarded_post(&guarded, TOPIC, token(BY_RSA, RS, CLAIMS), NULL), 401);
    close_all(&guarded);
}

static void
what_is_no_token_is_refused_before_it_is_read(void **state)
{
    (void)state;
    static const char *const forms[] = { "a.b", "a.b.c.d", "..", "a b.c.d", "=.=.=", "a.b.c,d" };
    struct guarded guarded;
    char line[6 * PART_BYTES];
    open_for(&guarded, ALL);
    for (size_t i = 0; i < MR_COUNT(forms); i++) {
        (void)snprintf(line, sizeof(line), "Authorization: Bearer %s\r\n", forms[i]);
        assert_int_equal(guarded_post(&guarded, TOPIC, line, NULL), 401);
    }
    (void)snprintf(line, sizeof(line), "Authorization: Bearer %07000d.%01500d.1\r\n", 0, 0);
    struct answer answer;
    gate_call(&guarded.gate, "POST", "/topics/" TOPIC, line, ONE, &answer);
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(answer.body, "no signed token"));
    answer_fini(&answer);
    close_all(&guarded);
}

static const struct {
    const char *jwks, *text;
} broken_keys[] = {
    { "{", "line 1" },
    { "{}", "there is no key" },
    { "{'keys':[]}", "there is no key" },
    { "{'keys':[{'kty':'RSA','e':'AQAB'}]}", "keys[0]: n: base64url" },
    { "{'keys':[{'kty':'RSA','n':'AQAB','e':'AQAB'}]}", "no RSA key of at least 2048 bits" },
    { "{'keys':[{'kty':'EC','crv':'P-256','x':'AQAB','y':'AQAB'}]}", "32 bytes are expected" },
    { "{'keys':[{'kty':'EC','crv':'P-256','x':'" SECRET_B64 "','y':'" SECRET_B64 "'}]}",
      "no point of P-256" },
    { "{'keys':[{'kty':'oct','k':'c2hvcnQ'}]}", "at least 32 bytes" },
    { "{'keys':[{'kty':'oct','k':'" SECRET_B64 "'},{'kty':'oct','k':'" SECRET_B64 "'}]}",
      "a kid of its own" },
};

static void
keys_that_do_not_hold_together_are_named(void **state)
{
    (void)state;
    struct guarded guarded;
    open_for(&guarded, ALL);
    for (size_t i = 0; i < MR_COUNT(broken_keys); i++) {
        struct mr_err err = { 0 };
        guarded_file(&guarded, "jwks.json", broken_keys[i].jwks, 0600);
        assert_int_not_equal(guarded_replace(&guarded, policy_for(ALL), &err), 0);
        if (strstr(err.text, broken_keys[i].text) == NULL)
            fail_msg("%s: %s", broken_keys[i].jwks, err.text);
    }
    struct mr_err err = { 0 };
    write_keys(&guarded, 0644);
    assert_int_not_equal(guarded_replace(&guarded, policy_for(ALL), &err), 0);
    assert_non_null(strstr(err.text, "chmod 600"));
    err = (struct mr_err){ 0 };
    assert_int_equal(guarded_replace(&guarded, policy_for("'RS256','ES256'"), &err), 0);
    close_all(&guarded);
}

static int
make_keys(void **state)
{
    (void)state;
    rsa = EVP_RSA_gen(2048);
    ec = EVP_EC_gen("P-256");
    return rsa != NULL && ec != NULL ? 0 : -1;
}

static int
drop_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    return 0;
}

int
token_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_token_is_taken),
        cmocka_unit_test(no_forged_token_is_taken),
        cmocka_unit_test(what_the_policy_does_not_allow_is_not_taken),
        cmocka_unit_test(every_changed_byte_makes_a_token_wrong),
        cmocka_unit_test(a_known_token_expires),
        cmocka_unit_test(what_is_no_token_is_refused_before_it_is_read),
        cmocka_unit_test(keys_that_do_not_hold_together_are_named),
    };
    return cmocka_run_group_tests_name("tokens", tests, make_keys, drop_keys);
}
