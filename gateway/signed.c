/*
 * AWS Signature Version 4 in the Authorization header, as SDKs sign for Kinesis. The request is put
 * into its canonical form from what came over the wire and signed again with the secret of the key
 * that it names; both signatures must be the same.
 *
 * Beyond what AWS writes down: every signed header stands there once, and every x-amz- header is
 * signed, so that nobody on the way can add what the service would obey. A request may be repeated
 * within the skew of the clocks, as at AWS; an Idempotency-Key makes that harmless.
 */
#include "gateway/identify.h"

#include "clock/clock.h"
#include "sigv4/sigv4.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    SKEW_S = 5 * 60,
    HEADER_BYTES_MAX = 4096, /* of Authorization */
    SCOPE_PARTS = 5,         /* key id, date, region, service, aws4_request */
    PARAMS_MAX = 64,         /* of the query */
    DATE_LENGTH = 8,
};

/* What the header says; texts in the request's memory. */
struct signature {
    char *scope[SCOPE_PARTS];
    char *names, *hex;
};

/* ---- the header ---- */

/* Cuts text at each of `at`; the count of parts, or most + 1. */
static size_t
cut(char *text, char at, char **ret, size_t most)
{
    size_t count = 0;
    while (text != NULL && count < most) {
        char *end = strchr(text, at);
        ret[count++] = text;
        if (end != NULL)
            *end++ = '\0';
        text = end;
    }
    return text == NULL ? count : most + 1;
}

/* Credential=.., SignedHeaders=.., Signature=..: each once. */
static bool
read_fields(char *text, struct signature *ret)
{
    char *fields[3], *credential = NULL;
    if (cut(text, ',', fields, MR_COUNT(fields)) != MR_COUNT(fields))
        return false;
    for (size_t i = 0; i < MR_COUNT(fields); i++) {
        char *value, **place = NULL;
        fields[i] += strspn(fields[i], " ");
        value = strchr(fields[i], '=');
        if (value == NULL)
            return false;
        *value++ = '\0';
        if (strcmp(fields[i], "Credential") == 0)
            place = &credential;
        else if (strcmp(fields[i], "SignedHeaders") == 0)
            place = &ret->names;
        else if (strcmp(fields[i], "Signature") == 0)
            place = &ret->hex;
        if (place == NULL || *place != NULL)
            return false;
        *place = value;
    }
    return cut(credential, '/', ret->scope, SCOPE_PARTS) == SCOPE_PARTS &&
           strlen(ret->hex) == MR_SHA256_HEX;
}

/* YYYYMMDDTHHMMSSZ to seconds since 1970; false: it is none. */
static bool
read_time(const char *text, int64_t *ret_s)
{
    int year, month, day, hour, minute, second, end = 0;
    int64_t days;
    if (strlen(text) != MR_SIGV4_TIME || strspn(text, "0123456789TZ") != MR_SIGV4_TIME ||
        sscanf(text, "%4d%2d%2dT%2d%2d%2dZ%n", &year, &month, &day, &hour, &minute, &second,
               &end) != 6 ||
        end != MR_SIGV4_TIME || hour > 23 || minute > 59 || second > 60 ||
        !mr_days_from_civil(year, month, day, &days))
        return false;
    *ret_s = days * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

/* ---- the canonical form ---- */

static bool
is_name(struct mr_slice name, const char *text)
{
    return name.size == strlen(text) && strncasecmp(name.data, text, name.size) == 0;
}

/* False: it is not there, or more than once. */
static bool
find_once(struct mr_http_request *request, const char *name, const char **ret_value)
{
    struct mr_slice at, value;
    size_t count = 0;
    for (size_t i = 0; mr_http_header_at(request, i, &at, &value); i++) {
        if (!is_name(at, name))
            continue;
        count++;
        *ret_value = mr_arena_copy(mr_http_arena(request), value.data, value.size);
    }
    return count == 1;
}

/* Fills the signed headers; NULL, or what is wrong. */
static const char *
take_headers(struct mr_http_request *http, char *names, struct mr_sigv4_request *ret)
{
    char *list[MR_SIGV4_HEADERS_MAX];
    const char *value;
    size_t count = cut(names, ';', list, MR_COUNT(list)), bytes = 0;
    bool has_host = false, has_date = false;
    if (count > MR_COUNT(list))
        return "SignedHeaders names too many headers";
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && strcmp(list[i - 1], list[i]) >= 0)
            return "SignedHeaders is not sorted";
        if (strlen(list[i]) > MR_SIGV4_NAME_MAX || !find_once(http, list[i], &value))
            return "a header of SignedHeaders is not there exactly once";
        bytes += strlen(list[i]) + strlen(value) + 2;
        has_host = has_host || strcmp(list[i], "host") == 0;
        has_date = has_date || strcmp(list[i], "x-amz-date") == 0;
        mr_sigv4_header(ret, list[i], value);
    }
    if (!has_host || !has_date)
        return "SignedHeaders must name host and x-amz-date";
    return bytes <= MR_SIGV4_BYTES_MAX / 4 ? NULL : "the signed headers are too long";
}

static bool
is_signed(const struct mr_sigv4_request *request, struct mr_slice name)
{
    for (size_t i = 0; i < request->headers_count; i++)
        if (is_name(name, request->headers[i].name))
            return true;
    return false;
}

static bool
has_unsigned(struct mr_http_request *http, const struct mr_sigv4_request *request)
{
    static const char prefix[] = "x-amz-";
    struct mr_slice name, value;
    for (size_t i = 0; mr_http_header_at(http, i, &name, &value); i++)
        if (name.size >= sizeof(prefix) - 1 &&
            strncasecmp(name.data, prefix, sizeof(prefix) - 1) == 0 && !is_signed(request, name))
            return true;
    return false;
}

struct param {
    const char *name, *value; /* encoded as AWS does */
};

static int
by_name(const void *a, const void *b)
{
    const struct param *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : strcmp(left->value, right->value);
}

static int
hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* However the client has encoded it, there is one spelling. */
static const char *
encode_again(struct mr_arena *arena, const char *text, size_t size)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf plain;
    MR_CLEANUP(mr_buf_fini) struct mr_buf encoded;
    mr_buf_init(&plain, MR_SIGV4_BYTES_MAX);
    mr_buf_init(&encoded, MR_SIGV4_BYTES_MAX);
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '%') { /* the HTTP server has checked what follows */
            c = (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
            i += 2;
        }
        mr_buf_put(&plain, &c, 1);
    }
    mr_sigv4_encode(mr_buf_slice(&plain), MR_SIGV4_QUERY, &encoded);
    return encoded.size > 0 ? mr_arena_copy(arena, encoded.data, encoded.size) : "";
}

/* NULL: there are too many parameters. */
static const char *
canonical_query(struct mr_http_request *http)
{
    struct mr_arena *arena = mr_http_arena(http);
    struct mr_slice query = mr_http_query(http);
    struct param params[PARAMS_MAX];
    size_t count = 0;
    if (query.size == 0)
        return "";
    for (const char *at = query.data, *end = at + query.size; at < end;) {
        const char *next = memchr(at, '&', (size_t)(end - at));
        next = next != NULL ? next : end;
        const char *equals = memchr(at, '=', (size_t)(next - at));
        const char *stop = equals != NULL ? equals : next;
        if (count == PARAMS_MAX)
            return NULL;
        params[count].name = encode_again(arena, at, (size_t)(stop - at));
        params[count++].value =
            equals != NULL ? encode_again(arena, equals + 1, (size_t)(next - equals) - 1) : "";
        at = next + 1;
    }
    qsort(params, count, sizeof(params[0]), by_name);
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, MR_SIGV4_BYTES_MAX / 2);
    for (size_t i = 0; i < count; i++)
        mr_buf_printf(&text, "%s%s=%s", i > 0 ? "&" : "", params[i].name, params[i].value);
    return text.failed ? NULL : mr_arena_copy(arena, text.data, text.size);
}

/* The path as it came, without doubled slashes, encoded once more: that is AWS's rule for all but
 * S3. NULL: it is too long. */
static const char *
canonical_path(struct mr_http_request *http)
{
    struct mr_slice target = mr_http_target(http);
    const char *at = target.data, *end = at + target.size;
    MR_CLEANUP(mr_buf_fini) struct mr_buf path;
    MR_CLEANUP(mr_buf_fini) struct mr_buf encoded;
    mr_buf_init(&path, MR_SIGV4_BYTES_MAX);
    mr_buf_init(&encoded, MR_SIGV4_BYTES_MAX / 4);
    if (*at != '/') /* http://host/path, whose form the server has checked */
        at = memchr(at + strlen("http://"), '/', (size_t)(end - at) - strlen("http://"));
    for (; at < end && *at != '?'; at++)
        if (*at != '/' || path.size == 0 || path.data[path.size - 1] != '/')
            mr_buf_put(&path, at, 1);
    mr_sigv4_encode(mr_buf_slice(&path), MR_SIGV4_PATH, &encoded);
    return path.failed || encoded.failed
               ? NULL
               : mr_arena_copy(mr_http_arena(http), encoded.data, encoded.size);
}

/* Fills ret_hash, and the payload as it was signed; NULL, or what is wrong. */
static const char *
take_payload(struct mr_http_request *http, struct mr_sigv4_request *ret,
             char ret_hash[MR_SHA256_HEX + 1])
{
    struct mr_slice said = mr_http_header(http, "x-amz-content-sha256");
    struct mr_slice coding = mr_http_header(http, "content-encoding");
    ret->payload = ret_hash;
    if (mr_slice_is_text(said, "UNSIGNED-PAYLOAD")) {
        ret->payload = "UNSIGNED-PAYLOAD";
        return mr_http_is_tls(http) ? NULL : "UNSIGNED-PAYLOAD is taken over TLS only";
    }
    if (mr_http_is_stream(http))
        return "a stream is not signed: send the body whole, or UNSIGNED-PAYLOAD over TLS";
    if (coding.data != NULL)
        return "a signed body is taken without Content-Encoding only";
    mr_sigv4_sha256(mr_http_body(http), ret_hash);
    if (said.data != NULL &&
        (said.size != MR_SHA256_HEX || CRYPTO_memcmp(said.data, ret_hash, MR_SHA256_HEX) != 0))
        return "x-amz-content-sha256 is not the hash of the body";
    return NULL;
}

/* ---- the whole ---- */

static const char *
check_scope(const struct signature *signature, const char *time)
{
    static const char *const services[] = { "kinesis", "execute-api" };
    int64_t signed_s, now_s = mr_wall_us() / 1000000;
    size_t i = 0;
    while (i < MR_COUNT(services) && strcmp(services[i], signature->scope[3]) != 0)
        i++;
    if (i == MR_COUNT(services) || strcmp(signature->scope[4], "aws4_request") != 0)
        return "Credential should be scoped to correct service: 'kinesis', and end in aws4_request";
    if (!read_time(time, &signed_s))
        return "x-amz-date must be like 20150830T123600Z";
    if (strlen(signature->scope[1]) != DATE_LENGTH ||
        memcmp(signature->scope[1], time, DATE_LENGTH) != 0)
        return "Date in Credential scope does not match x-amz-date";
    if (signed_s < now_s - SKEW_S)
        return "Signature expired: x-amz-date is more than 5 minutes ago";
    if (signed_s > now_s + SKEW_S)
        return "Signature not yet current: x-amz-date is more than 5 minutes ahead";
    return NULL;
}

static enum verdict
check(const struct policy *policy, struct mr_http_request *http, struct signature *signature,
      struct shown *ret)
{
    char hash[MR_SHA256_HEX + 1], hex[MR_SHA256_HEX + 1];
    struct mr_slice method = mr_http_method(http);
    MR_CLEANUP(mr_sigv4_fini)
    struct mr_sigv4_request request = { .region = signature->scope[2],
                                        .service = signature->scope[3] };
    request.method = mr_arena_copy(mr_http_arena(http), method.data, method.size);
    const char *fault = take_headers(http, signature->names, &request), *time = "";
    if (fault != NULL)
        return shown_bad(ret, REFUSED_FORM, fault);
    if (has_unsigned(http, &request))
        return shown_bad(ret, REFUSED_SIGNATURE, "there are x-amz- headers that are not signed");
    request.path = canonical_path(http);
    request.query = canonical_query(http);
    if (request.path == NULL || request.query == NULL)
        return shown_bad(ret, REFUSED_FORM, "path or query are too long to be signed");
    (void)find_once(http, "x-amz-date", &time);
    if ((fault = check_scope(signature, time)) != NULL ||
        (fault = take_payload(http, &request, hash)) != NULL)
        return shown_bad(ret, REFUSED_SIGNATURE, fault);
    memcpy(request.time, time, MR_SIGV4_TIME + 1);
    const struct credential *key = policy_find(policy, METHOD_SIGV4, signature->scope[0]);
    if (key == NULL)
        return shown_bad(ret, REFUSED_ACCESS_KEY,
                         "The security token included in the request is invalid.");
    mr_sigv4_signature(&request, key->secret, key->signing, hex);
    if (CRYPTO_memcmp(hex, signature->hex, MR_SHA256_HEX) != 0)
        return shown_bad(ret, REFUSED_SIGNATURE,
                         "The request signature we calculated does not match the signature you "
                         "provided. Check your AWS Secret Access Key and signing method.");
    ret->entry = key->entry;
    return GOOD;
}

enum verdict
signed_check(const struct policy *policy, struct mr_http_request *request, struct mr_slice fields,
             struct shown *ret)
{
    struct signature signature = { 0 };
    ret->method = METHOD_SIGV4;
    if (fields.size > HEADER_BYTES_MAX ||
        !read_fields(mr_arena_copy(mr_http_arena(request), fields.data, fields.size), &signature))
        return shown_bad(ret, REFUSED_FORM,
                         "Authorization must be AWS4-HMAC-SHA256 with Credential=ID/date/region/"
                         "service/aws4_request, SignedHeaders= and Signature=, each once");
    if (mr_http_header(request, "x-amz-security-token").data != NULL)
        return shown_bad(ret, REFUSED_ACCESS_KEY,
                         "session tokens are not taken; sign with a key of the policy");
    return check(policy, request, &signature, ret);
}
