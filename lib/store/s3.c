/*
 * s3: the store on S3. Each operation is one exchange and a judgement of its status.
 *
 * Pages of a listing are asked for by start-after, not by continuation token, so that a listing
 * can be taken up behind any key, also after a failure. Objects are written whole by one PUT, as
 * only that can be conditional everywhere.
 */
#include "store/driver.h"
#include "store/s3_http.h"
#include "store/s3_xml.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PAGE_MAX = 1000,
    BEHIND_MAX = 2 * MR_STORE_KEY_MAX, /* prefix and key */
    QUERY_BYTES_MAX = 3 * 2 * BEHIND_MAX + 256,
    BUCKET_MIN = 3,
    BUCKET_MAX = 63,
};

/* ---- what an answer means ---- */

/* Codes that come with a 4xx status and mean what their status does not say. */
static const struct {
    const char *code;
    int means;
    enum mr_remedy remedy;
} special[] = {
    { "NoSuchBucket", MR_E(INVALID), MR_FATAL },
    { "InvalidBucketName", MR_E(INVALID), MR_FATAL },
    { "ExpiredToken", MR_E(DENIED), MR_RETRY },
    { "InvalidToken", MR_E(DENIED), MR_RETRY },
    { "AuthorizationHeaderMalformed", MR_E(DENIED), MR_RETRY },
    { "RequestTimeout", MR_E(UNAVAILABLE), MR_RETRY },
    { "XAmzContentSHA256Mismatch", MR_E(UNAVAILABLE), MR_RETRY },
    { "EntityTooLarge", MR_E(TOO_LARGE), MR_REJECT },
    { "KeyTooLongError", MR_E(INVALID), MR_REJECT },
};

static int
code_of(long status, const char *s3_code, enum mr_remedy *ret_remedy)
{
    for (size_t i = 0; i < MR_COUNT(special); i++)
        if (strcmp(s3_code, special[i].code) == 0) {
            *ret_remedy = special[i].remedy;
            return special[i].means;
        }
    *ret_remedy = MR_RETRY;
    switch (status) {
    case 401:
    case 403:
        return MR_E(DENIED);
    case 404:
        *ret_remedy = MR_REJECT;
        return MR_E(NOT_FOUND);
    case 412:
        *ret_remedy = MR_REJECT;
        return MR_E(EXISTS);
    case 413:
        *ret_remedy = MR_REJECT;
        return MR_E(TOO_LARGE);
    case 501:
        *ret_remedy = MR_FATAL;
        return MR_E(UNSUPPORTED);
    case 301:
        *ret_remedy = MR_FATAL;
        return MR_E(INVALID);
    case 307: /* a bucket that is being moved or made */
    case 408:
    case 409: /* ConditionalRequestConflict: a race that nobody has won yet */
    case 429:
        return MR_E(UNAVAILABLE);
    default:
        return status >= 500 ? MR_E(UNAVAILABLE) : MR_E(INTERNAL);
    }
}

static const char *
hint_of(int code)
{
    if (code == MR_E(DENIED))
        return "; check the S3 credentials, the region and the clock";
    return "";
}

static int
refuse(struct mr_s3 *s3, const struct mr_store_call *call, const struct mr_s3_reply *reply,
       struct mr_err *err)
{
    char s3_code[MR_S3_CODE_MAX + 1], message[MR_S3_MESSAGE_MAX + 1];
    enum mr_remedy remedy = MR_RETRY;
    struct mr_slice text = mr_buf_slice(&reply->text);
    mr_s3_element(text, "Code", s3_code, sizeof(s3_code));
    mr_s3_element(text, "Message", message, sizeof(message));
    int code = code_of(reply->status, s3_code, &remedy);
    if (code == MR_E(DENIED))
        s3->refused = true;
    (void)mr_fail(err, code, remedy, "%s/%.150s: %ld%s%s%s%s%s%s%s", s3->url,
                  call->key != NULL ? call->key : "", reply->status, s3_code[0] != '\0' ? " " : "",
                  s3_code, message[0] != '\0' ? ": " : "", message, hint_of(code),
                  reply->region[0] != '\0' ? "; the bucket is in " : "", reply->region);
    return code;
}

static int
exchange(struct mr_s3 *s3, const char *method, const char *query, struct mr_store_call *call,
         struct mr_s3_reply *reply, struct mr_err *err)
{
    if (call->key != NULL && strlen(s3->prefix) + strlen(call->key) > MR_STORE_KEY_MAX)
        return mr_fail(err, MR_E(INVALID), MR_REJECT,
                       "%.150s/%.150s: prefix and key have more "
                       "than %d bytes together",
                       s3->url, call->key, MR_STORE_KEY_MAX);
    /* Whoever renewed the file of credentials must not have to restart us as well. */
    if (s3->refused && mr_credentials_load(&s3->credentials, NULL) == 0)
        s3->refused = false;
    return mr_s3_exchange(s3, method, query, call, reply, err);
}

/* ---- operations ---- */

static int
s3_put(void *state, struct mr_store_call *call, struct mr_err *err)
{
    struct mr_s3 *s3 = state;
    MR_CLEANUP(mr_s3_reply_fini) struct mr_s3_reply reply = { 0 };
    if (exchange(s3, "PUT", "", call, &reply, err) != 0)
        return err->code;
    return reply.status == 200 ? 0 : refuse(s3, call, &reply, err);
}

static int
s3_get(void *state, struct mr_store_call *call, struct mr_err *err)
{
    struct mr_s3 *s3 = state;
    MR_CLEANUP(mr_s3_reply_fini) struct mr_s3_reply reply = { 0 };
    if (exchange(s3, "GET", "", call, &reply, err) != 0)
        return err->code;
    if (call->count > 0 && reply.status == 416)
        return 0; /* a range behind the end holds nothing */
    if (call->count > 0 && reply.status == 200)
        return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL, "%s does not honour Range", s3->origin);
    if (reply.status != (call->count > 0 ? 206 : 200))
        return refuse(s3, call, &reply, err);
    if (call->ret_meta != NULL)
        *call->ret_meta = reply.meta;
    return 0;
}

static int
s3_head(void *state, struct mr_store_call *call, struct mr_err *err)
{
    struct mr_s3 *s3 = state;
    MR_CLEANUP(mr_s3_reply_fini) struct mr_s3_reply reply = { 0 };
    if (exchange(s3, "HEAD", "", call, &reply, err) != 0)
        return err->code;
    if (reply.status != 200)
        return refuse(s3, call, &reply, err);
    if (reply.bytes < 0)
        return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL, "%s tells no Content-Length", s3->origin);
    if (call->ret_meta != NULL)
        *call->ret_meta = reply.meta;
    if (call->ret_object != NULL) {
        *call->ret_object =
            (struct mr_object){ .bytes = reply.bytes, .modified_ms = reply.modified_ms };
        memcpy(call->ret_object->key, call->key, strlen(call->key) + 1);
    }
    return 0;
}

static int
s3_remove(void *state, struct mr_store_call *call, struct mr_err *err)
{
    struct mr_s3 *s3 = state;
    MR_CLEANUP(mr_s3_reply_fini) struct mr_s3_reply reply = { 0 };
    if (exchange(s3, "DELETE", "", call, &reply, err) != 0)
        return err->code;
    if (reply.status == 200 || reply.status == 204)
        return 0;
    struct mr_err refused = { 0 };
    if (refuse(s3, call, &reply, &refused) == MR_E(NOT_FOUND))
        return 0;
    return mr_fail(err, refused.code, refused.remedy, "%s", refused.text);
}

/* ---- listing ---- */

/* behind: the last full key seen, or where to begin. */
static void
make_list_query(const struct mr_s3 *s3, const struct mr_store_call *call, const char *behind,
                struct mr_buf *query)
{
    size_t left = call->count_max - call->items_count;
    mr_buf_printf(query, "encoding-type=url&list-type=2&max-keys=%zu&prefix=",
                  left < PAGE_MAX ? left : (size_t)PAGE_MAX);
    mr_sigv4_encode(mr_slice_text(s3->prefix), MR_SIGV4_QUERY, query);
    mr_sigv4_encode(mr_slice_text(call->prefix), MR_SIGV4_QUERY, query);
    if (behind[0] != '\0') {
        mr_buf_text(query, "&start-after=");
        mr_sigv4_encode(mr_slice_text(behind), MR_SIGV4_QUERY, query);
    }
    MR_ASSERT(!query->failed);
}

/* Takes the objects of one page that are keys of ours, and moves *behind to the last one seen. */
static int
take_page(const struct mr_s3 *s3, struct mr_store_call *call, struct mr_s3_listing *page,
          char behind[BEHIND_MAX + 1], struct mr_err *err)
{
    size_t own = strlen(s3->prefix);
    struct mr_object object;
    int found = 0;
    while (call->items_count < call->count_max &&
           (found = mr_s3_listing_next(page, &object, err)) == 1) {
        if (strncmp(object.key, s3->prefix, own) != 0 || strcmp(object.key, behind) <= 0)
            return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL,
                           "%.100s does not list in byte order behind start-after: '%.100s' came "
                           "after '%.100s'",
                           s3->origin, object.key, behind);
        memcpy(behind, object.key, strlen(object.key) + 1);
        memmove(object.key, object.key + own, strlen(object.key + own) + 1);
        if (mr_store_key_ok(mr_slice_text(object.key)) && !mr_store_key_own(object.key))
            *mr_store_list_item(call) = object;
    }
    return found < 0 ? found : 0;
}

/* Returns 1 when there is more behind this page. */
static int
list_page(struct mr_s3 *s3, struct mr_store_call *call, char behind[BEHIND_MAX + 1],
          struct mr_err *err)
{
    MR_CLEANUP(mr_s3_reply_fini) struct mr_s3_reply reply = { 0 };
    MR_CLEANUP(mr_buf_fini) struct mr_buf query;
    MR_CLEANUP(mr_freep) char *before = mr_strdup(behind);
    struct mr_s3_listing page;
    mr_buf_init(&query, QUERY_BYTES_MAX);
    make_list_query(s3, call, behind, &query);
    if (exchange(s3, "GET", query.data, call, &reply, err) != 0)
        return err->code;
    if (reply.status != 200)
        return refuse(s3, call, &reply, err);
    if (reply.text.failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_RETRY,
                       "%s: a page of the listing has more than %d bytes", s3->url, MR_S3_TEXT_MAX);
    if (mr_s3_listing_open(mr_buf_slice(&reply.text), &page, err) != 0 ||
        take_page(s3, call, &page, behind, err) != 0)
        return mr_fail_in(err, "%s/%.150s", s3->url, call->prefix);
    if (page.truncated && strcmp(before, behind) == 0)
        return mr_fail(err, MR_E(CORRUPT), MR_RETRY, "%s/%.150s: the listing does not go on",
                       s3->url, call->prefix);
    return page.truncated ? 1 : 0;
}

static int
s3_list(void *state, struct mr_store_call *call, struct mr_err *err)
{
    struct mr_s3 *s3 = state;
    char behind[BEHIND_MAX + 1] = "";
    const char *start =
        call->items_count > 0 ? call->items[call->items_count - 1].key : call->after;
    if (start[0] != '\0')
        (void)snprintf(behind, sizeof(behind), "%s%s", s3->prefix, start);
    int more = 1;
    while (more == 1 && call->items_count < call->count_max)
        more = list_page(s3, call, behind, err);
    return more < 0 ? more : 0;
}

/* ---- open and close ---- */

static void
s3_close(void *state)
{
    struct mr_s3 *s3 = state;
    if (s3 == NULL)
        return;
    curl_easy_cleanup(s3->easy);
    (void)curl_multi_cleanup(s3->multi);
    mr_credentials_fini(&s3->credentials);
    free(s3->url);
    free(s3->origin);
    free(s3->authority);
    free(s3->path);
    free(s3->prefix);
    free(s3->region);
    free(s3->authorities);
    free(s3);
}

static void
s3_closep(struct mr_s3 **s3)
{
    s3_close(*s3);
}

static void
curl_start(void)
{
    CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
    MR_ASSERT(started == CURLE_OK);
}

/* NULL when it is not set, or empty. */
static const char *
environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static void
take_environment(struct mr_s3 *s3, const char *region)
{
    const char *authorities = environment("AWS_CA_BUNDLE");
    if (region == NULL)
        region = environment("AWS_REGION");
    if (region == NULL)
        region = environment("AWS_DEFAULT_REGION");
    s3->region = mr_strdup(region != NULL ? region : "us-east-1");
    s3->authorities = authorities != NULL ? mr_strdup(authorities) : NULL;
}

/* bucket[/prefix] */
static int
take_url(struct mr_s3 *s3, const char *path, char ret_bucket[BUCKET_MAX + 1], struct mr_err *err)
{
    size_t length = strcspn(path, "/");
    const char *prefix = path[length] == '/' ? path + length + 1 : "";
    size_t plain = strspn(path, "abcdefghijklmnopqrstuvwxyz0123456789.-");
    if (length < BUCKET_MIN || length > BUCKET_MAX || plain < length)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "store 's3://%.200s': a bucket has %d to %d of a-z 0-9 . -", path,
                       BUCKET_MIN, BUCKET_MAX);
    memcpy(ret_bucket, path, length);
    ret_bucket[length] = '\0';
    size_t size = strlen(prefix);
    if (size > 0 && prefix[size - 1] == '/')
        size--;
    if (size > 0 && !mr_store_key_ok(mr_slice(prefix, size)))
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "store 's3://%.200s': the prefix must be of the form of a key", path);
    s3->url = mr_printf("s3://%s%s%.*s", ret_bucket, size > 0 ? "/" : "", (int)size, prefix);
    s3->prefix = mr_printf("%.*s%s", (int)size, prefix, size > 0 ? "/" : "");
    return 0;
}

/* http[s]://host[:port], nothing else. */
static int
take_endpoint(struct mr_s3 *s3, const char *endpoint, struct mr_err *err)
{
    const char *host = NULL;
    if (strncmp(endpoint, "http://", 7) == 0)
        host = endpoint + 7;
    else if (strncmp(endpoint, "https://", 8) == 0)
        host = endpoint + 8;
    size_t length = host != NULL ? strcspn(host, "/?#@ ") : 0;
    if (length == 0 || (host[length] != '\0' && strcmp(host + length, "/") != 0))
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "S3 endpoint '%.200s' is not http://HOST:PORT or https://HOST:PORT",
                       endpoint);
    s3->authority = mr_strndup(host, length);
    s3->origin = mr_printf("%.*s%s", (int)(host - endpoint), endpoint, s3->authority);
    s3->hashed = strncmp(endpoint, "http://", 7) == 0;
    return 0;
}

static int
take_address(struct mr_s3 *s3, const char *bucket, const char *endpoint, struct mr_err *err)
{
    if (endpoint != NULL) {
        s3->path = mr_printf("/%s", bucket);
        return take_endpoint(s3, endpoint, err);
    }
    /* The certificate of a virtual host covers one label only. */
    bool dotted = strchr(bucket, '.') != NULL;
    s3->path = dotted ? mr_printf("/%s", bucket) : mr_strdup("");
    s3->authority =
        mr_printf("%s%ss3.%s.amazonaws.com", dotted ? "" : bucket, dotted ? "" : ".", s3->region);
    s3->origin = mr_printf("https://%s", s3->authority);
    return 0;
}

int
mr_store_s3_open(const char *path, const struct mr_store_options *options, void **ret_state,
                 char **ret_url, struct mr_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char bucket[BUCKET_MAX + 1];
    MR_CLEANUP(s3_closep) struct mr_s3 *s3 = mr_alloc(sizeof(*s3));
    int started = pthread_once(&once, curl_start);
    MR_ASSERT(started == 0);
    take_environment(s3, options->s3_region);
    if (take_url(s3, path, bucket, err) != 0 ||
        take_address(s3, bucket, options->s3_endpoint, err) != 0 ||
        mr_credentials_load(&s3->credentials, err) != 0)
        return err->code;
    s3->multi = curl_multi_init();
    s3->easy = curl_easy_init();
    MR_ASSERT(s3->multi != NULL);
    MR_ASSERT(s3->easy != NULL);
    *ret_url = mr_strdup(s3->url);
    *ret_state = MR_TAKE(s3);
    return 0;
}

const struct mr_store_driver mr_store_s3 = { .put = s3_put,
                                             .get = s3_get,
                                             .head = s3_head,
                                             .list = s3_list,
                                             .remove = s3_remove,
                                             .close = s3_close };
