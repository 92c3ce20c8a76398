/*
 * sigv4: canonical request -> string to sign -> signature, in AWS's order (Signature Version 4
 * signing process). S3's variant: the path is encoded once and not normalised.
 */
#include "sigv4/sigv4.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    KEY_BYTES = 32,
    DATE_LENGTH = 8,
    FIXED_BYTES_MAX = 8 * 1024, /* of a canonical request, besides path, query and headers */
};

void
mr_sigv4_sha256(struct mr_slice bytes, char ret_hex[MR_SHA256_HEX + 1])
{
    unsigned char digest[KEY_BYTES];
    int done =
        EVP_Digest(bytes.size > 0 ? bytes.data : "", bytes.size, digest, NULL, EVP_sha256(), NULL);
    MR_ASSERT(done == 1);
    mr_hex(digest, sizeof(digest), ret_hex);
}

static void
hmac(const void *key, size_t key_bytes, struct mr_slice text, unsigned char ret[KEY_BYTES])
{
    unsigned int bytes = 0;
    unsigned char *done =
        HMAC(EVP_sha256(), key, (int)key_bytes, text.data, text.size, ret, &bytes);
    MR_ASSERT(done != NULL);
    MR_ASSERT(bytes == KEY_BYTES);
}

void
mr_sigv4_encode(struct mr_slice text, enum mr_sigv4_part part, struct mr_buf *ret_text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    const char *bytes = text.data;
    for (size_t i = 0; i < text.size; i++) {
        bool stays = memchr(plain, bytes[i], sizeof(plain) - 1) != NULL ||
                     (bytes[i] == '/' && part == MR_SIGV4_PATH);
        if (stays)
            mr_buf_put(ret_text, &bytes[i], 1);
        else
            mr_buf_printf(ret_text, "%%%02X", (unsigned char)bytes[i]);
    }
}

void
mr_sigv4_time(int64_t wall_us, char ret_time[MR_SIGV4_TIME + 1])
{
    time_t seconds = wall_us / 1000000;
    struct tm utc;
    struct tm *known = gmtime_r(&seconds, &utc);
    MR_ASSERT(known != NULL);
    size_t length = strftime(ret_time, MR_SIGV4_TIME + 1, "%Y%m%dT%H%M%SZ", &utc);
    MR_ASSERT(length == MR_SIGV4_TIME);
}

void
mr_sigv4_header(struct mr_sigv4_request *request, const char *name, const char *value)
{
    MR_ASSERT(request->headers_count < MR_SIGV4_HEADERS_MAX);
    struct mr_sigv4_header *header = &request->headers[request->headers_count++];
    MR_ASSERT(strlen(name) < sizeof(header->name));
    memcpy(header->name, name, strlen(name) + 1);
    header->value = mr_strdup(value);
}

void
mr_sigv4_fini(struct mr_sigv4_request *request)
{
    for (size_t i = 0; i < request->headers_count; i++)
        free(request->headers[i].value);
    request->headers_count = 0;
}

static int
by_name(const void *a, const void *b)
{
    const struct mr_sigv4_header *left = a, *right = b;
    return strcmp(left->name, right->name);
}

/* Without blanks at the ends, and one for a row of them. */
static void
put_trimmed(struct mr_buf *text, const char *value)
{
    value += strspn(value, " ");
    while (*value != '\0') {
        size_t word = strcspn(value, " ");
        size_t blanks = strspn(value + word, " ");
        mr_buf_put(text, value, word);
        value += word + blanks;
        if (blanks > 0 && *value != '\0')
            mr_buf_put(text, " ", 1);
    }
}

static void
put_names(struct mr_buf *text, const struct mr_sigv4_request *request)
{
    for (size_t i = 0; i < request->headers_count; i++)
        mr_buf_printf(text, "%s%s", i > 0 ? ";" : "", request->headers[i].name);
}

static void
hash_canonical(const struct mr_sigv4_request *request, char ret_hex[MR_SHA256_HEX + 1])
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, MR_SIGV4_BYTES_MAX + FIXED_BYTES_MAX);
    mr_buf_printf(&text, "%s\n%s\n%s\n", request->method, request->path, request->query);
    for (size_t i = 0; i < request->headers_count; i++) {
        mr_buf_printf(&text, "%s:", request->headers[i].name);
        put_trimmed(&text, request->headers[i].value);
        mr_buf_text(&text, "\n");
    }
    mr_buf_text(&text, "\n");
    put_names(&text, request);
    mr_buf_printf(&text, "\n%s", request->payload);
    MR_ASSERT(!text.failed);
    mr_sigv4_sha256(mr_buf_slice(&text), ret_hex);
}

static void
derive_key(const char *secret, struct mr_slice date, const struct mr_sigv4_request *request,
           unsigned char ret_key[KEY_BYTES])
{
    char first[4 + MR_SIGV4_SECRET_MAX + 1];
    int length = snprintf(first, sizeof(first), "AWS4%s", secret);
    MR_ASSERT(length > 0 && (size_t)length < sizeof(first));
    hmac(first, (size_t)length, date, ret_key);
    hmac(ret_key, KEY_BYTES, mr_slice_text(request->region), ret_key);
    hmac(ret_key, KEY_BYTES, mr_slice_text(request->service), ret_key);
    hmac(ret_key, KEY_BYTES, MR_SLICE("aws4_request"), ret_key);
    OPENSSL_cleanse(first, sizeof(first));
}

static char *
scope_of(const struct mr_sigv4_request *request)
{
    return mr_printf("%.*s/%s/%s/aws4_request", DATE_LENGTH, request->time, request->region,
                     request->service);
}

static void
find_key(const struct mr_sigv4_request *request, const char *secret, const char *scope,
         struct mr_sigv4_key *kept, unsigned char ret_key[KEY_BYTES])
{
    if (kept != NULL && strcmp(kept->scope, scope) == 0) {
        memcpy(ret_key, kept->bytes, KEY_BYTES);
        return;
    }
    derive_key(secret, mr_slice(request->time, DATE_LENGTH), request, ret_key);
    if (kept != NULL && strlen(scope) <= MR_SIGV4_SCOPE_MAX) {
        memcpy(kept->scope, scope, strlen(scope) + 1);
        memcpy(kept->bytes, ret_key, KEY_BYTES);
    }
}

void
mr_sigv4_signature(struct mr_sigv4_request *request, const char *secret, struct mr_sigv4_key *kept,
                   char ret_hex[MR_SHA256_HEX + 1])
{
    MR_ASSERT(strlen(request->time) == MR_SIGV4_TIME);
    MR_ASSERT(request->headers_count > 0);
    qsort(request->headers, request->headers_count, sizeof(request->headers[0]), by_name);

    char hash[MR_SHA256_HEX + 1];
    hash_canonical(request, hash);
    MR_CLEANUP(mr_freep) char *scope = scope_of(request);
    MR_CLEANUP(mr_freep)
    char *to_sign = mr_printf("AWS4-HMAC-SHA256\n%s\n%s\n%s", request->time, scope, hash);

    unsigned char key[KEY_BYTES], digest[KEY_BYTES];
    find_key(request, secret, scope, kept, key);
    hmac(key, sizeof(key), mr_slice_text(to_sign), digest);
    mr_hex(digest, sizeof(digest), ret_hex);
}

void
mr_sigv4_sign(struct mr_sigv4_request *request, const char *key_id, const char *secret,
              struct mr_buf *ret_authorization)
{
    char signature[MR_SHA256_HEX + 1];
    mr_sigv4_signature(request, secret, NULL, signature);
    MR_CLEANUP(mr_freep) char *scope = scope_of(request);
    mr_buf_printf(ret_authorization, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=", key_id,
                  scope);
    put_names(ret_authorization, request);
    mr_buf_printf(ret_authorization, ", Signature=%s", signature);
}
