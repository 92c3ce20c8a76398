/*
 * s3_http: builds, signs and runs one request.
 *
 * The easy handle runs inside our own multi loop, since curl's timeouts cannot express ours: a try
 * ends at the call's deadline, put off by the time its bytes may take at a rate that is slow but
 * alive, and earlier when nothing moves. So a dead server is noticed early, and a big object over
 * a thin line still arrives.
 */
#include "store/s3_http.h"

#include "clock/clock.h"

#include <openssl/evp.h>

#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum {
    URL_BYTES_MAX = 3 * 2 * MR_STORE_KEY_MAX + 16 * 1024,
    BYTES_PER_MS_MIN = 1024,
    POLL_MS_MAX = 1000,
    CHUNK_BYTES = 256 * 1024,
    DIGEST_BYTES = 32,
};

#define SHA256_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define META_HEADER       "x-amz-meta-millrace-"

struct transfer {
    struct mr_s3 *s3;
    struct mr_store_call *call;
    struct mr_s3_reply *reply;
    bool is_put;
    int64_t sent;     /* of the body */
    int64_t moved;    /* bytes in both directions, for the deadline */
    int64_t moved_ms; /* when the last ones did */
    int local_errno;  /* of our own file, 0: none */
};

void
mr_s3_reply_fini(struct mr_s3_reply *reply)
{
    mr_buf_fini(&reply->text);
}

/* ---- bodies ---- */

static void
count_moved(struct transfer *transfer, size_t bytes)
{
    transfer->moved += (int64_t)bytes;
    transfer->moved_ms = mr_now_ms();
}

static size_t
send_body(char *ret, size_t one, size_t room, void *context)
{
    struct transfer *transfer = context;
    const struct mr_store_call *call = transfer->call;
    int64_t left = call->bytes - transfer->sent;
    size_t bytes = (uint64_t)left < one * room ? (size_t)left : one * room;
    if (call->fd >= 0 && bytes > 0) {
        ssize_t got = pread(call->fd, ret, bytes, transfer->sent);
        if (got <= 0) {
            transfer->local_errno = got < 0 ? errno : ENODATA;
            return CURL_READFUNC_ABORT;
        }
        bytes = (size_t)got;
    } else if (bytes > 0) {
        memcpy(ret, (const char *)call->body.data + transfer->sent, bytes);
    }
    transfer->sent += (int64_t)bytes;
    count_moved(transfer, bytes);
    return bytes;
}

/* curl sends a body again when a kept connection turns out to be closed. */
static int
rewind_body(void *context, curl_off_t offset, int origin)
{
    struct transfer *transfer = context;
    if (origin != SEEK_SET || offset < 0 || offset > transfer->call->bytes)
        return CURL_SEEKFUNC_FAIL;
    transfer->sent = offset;
    return CURL_SEEKFUNC_OK;
}

static bool
write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        size -= (size_t)written;
    }
    return true;
}

static size_t
receive_body(char *data, size_t one, size_t count, void *context)
{
    struct transfer *transfer = context;
    const struct mr_store_call *call = transfer->call;
    size_t bytes = one * count;
    long status = 0;
    count_moved(transfer, bytes);
    (void)curl_easy_getinfo(transfer->s3->easy, CURLINFO_RESPONSE_CODE, &status);
    bool wanted = !transfer->is_put && (status == 200 || status == 206);
    if (wanted && call->ret_body != NULL) {
        mr_buf_put(call->ret_body, data, bytes);
        return call->ret_body->failed ? 0 : bytes;
    }
    if (wanted && call->fd >= 0) {
        if (write_all(call->fd, data, bytes))
            return bytes;
        transfer->local_errno = errno;
        return 0;
    }
    mr_buf_put(&transfer->reply->text, data, bytes);
    return bytes;
}

/* ---- the request ---- */

static int
hash_file(struct mr_store_call *call, struct mr_err *err)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    MR_CLEANUP(mr_freep) char *chunk = mr_alloc(CHUNK_BYTES);
    unsigned char digest[DIGEST_BYTES];
    int64_t at = 0;
    ssize_t got = 0;
    MR_ASSERT(hash != NULL);
    (void)EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    while (at < call->bytes && (got = pread(call->fd, chunk, CHUNK_BYTES, at)) > 0) {
        (void)EVP_DigestUpdate(hash, chunk, (size_t)got);
        at += got;
    }
    int done = EVP_DigestFinal_ex(hash, digest, NULL);
    EVP_MD_CTX_free(hash);
    MR_ASSERT(done == 1);
    if (at != call->bytes)
        return mr_fail(err, MR_E(IO), MR_RETRY, "the file for %.200s cannot be read: %s", call->key,
                       got < 0 ? strerror(errno) : "it has become shorter");
    mr_hex(digest, sizeof(digest), call->sha256);
    return 0;
}

/* What the signature says about the body. */
static int
hash_body(const struct transfer *transfer, const char **ret_payload, struct mr_err *err)
{
    struct mr_store_call *call = transfer->call;
    *ret_payload = SHA256_OF_NOTHING;
    if (!transfer->is_put)
        return 0;
    *ret_payload = "UNSIGNED-PAYLOAD";
    if (!transfer->s3->hashed)
        return 0;
    *ret_payload = call->sha256;
    if (call->sha256[0] != '\0')
        return 0;
    if (call->fd >= 0)
        return hash_file(call, err);
    mr_sigv4_sha256(call->body, call->sha256);
    return 0;
}

static void
add_headers(const struct transfer *transfer, struct mr_sigv4_request *request)
{
    const struct mr_s3 *s3 = transfer->s3;
    const struct mr_store_call *call = transfer->call;
    mr_sigv4_header(request, "host", s3->authority);
    mr_sigv4_header(request, "x-amz-content-sha256", request->payload);
    mr_sigv4_header(request, "x-amz-date", request->time);
    if (s3->credentials.token[0] != '\0')
        mr_sigv4_header(request, "x-amz-security-token", s3->credentials.token);
    if (transfer->is_put && call->create)
        mr_sigv4_header(request, "if-none-match", "*");
    if (!transfer->is_put && call->count > 0) {
        MR_CLEANUP(mr_freep)
        char *range = mr_printf("bytes=%lld-%lld", (long long)call->from,
                                (long long)(call->from + call->count - 1));
        mr_sigv4_header(request, "range", range);
    }
    for (size_t i = 0; transfer->is_put && call->meta != NULL && i < call->meta->count; i++) {
        char name[sizeof(META_HEADER) + MR_STORE_NAME_MAX] = META_HEADER;
        memcpy(name + sizeof(META_HEADER) - 1, call->meta->items[i].name,
               strlen(call->meta->items[i].name) + 1);
        mr_sigv4_header(request, name, call->meta->items[i].value);
    }
}

static struct curl_slist *
header_lines(const struct mr_s3 *s3, struct mr_sigv4_request *request)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf line;
    mr_buf_init(&line, MR_TOKEN_MAX + 1024);
    mr_buf_text(&line, "Authorization: ");
    mr_sigv4_sign(request, s3->credentials.key_id, s3->credentials.secret, &line);
    MR_ASSERT(!line.failed);
    struct curl_slist *lines = curl_slist_append(NULL, line.data);
    for (size_t i = 0; i < request->headers_count; i++) {
        mr_buf_reset(&line);
        mr_buf_printf(&line, "%s: %s", request->headers[i].name, request->headers[i].value);
        MR_ASSERT(!line.failed);
        lines = curl_slist_append(lines, line.data);
    }
    /* Waiting for "100 Continue" would cost a round trip for each object. */
    lines = curl_slist_append(lines, "Expect:");
    MR_ASSERT(lines != NULL);
    return lines;
}

static void
set_options(struct transfer *transfer, const char *method, const char *url,
            struct curl_slist *lines)
{
    CURL *easy = transfer->s3->easy;
    curl_easy_reset(easy);
    transfer->s3->detail[0] = '\0';
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_FILETIME, 1L);
    if (transfer->s3->authorities != NULL)
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, transfer->s3->authorities);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->s3->detail);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, lines);
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)CHUNK_BYTES);
    (void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)CHUNK_BYTES);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    if (transfer->is_put) {
        (void)curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)transfer->call->bytes);
        (void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, send_body);
        (void)curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
        (void)curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, rewind_body);
        (void)curl_easy_setopt(easy, CURLOPT_SEEKDATA, transfer);
    } else if (strcmp(method, "HEAD") == 0) {
        (void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    }
}

/* ---- running it ---- */

static CURLcode
run(struct transfer *transfer)
{
    struct mr_s3 *s3 = transfer->s3;
    CURLcode result = CURLE_OK;
    CURLMcode added = curl_multi_add_handle(s3->multi, s3->easy);
    MR_ASSERT(added == CURLM_OK);
    transfer->moved_ms = mr_now_ms();
    for (;;) {
        int running = 0, queued = 0;
        (void)curl_multi_perform(s3->multi, &running);
        if (running == 0) {
            CURLMsg *message = curl_multi_info_read(s3->multi, &queued);
            MR_ASSERT(message != NULL);
            result = message->data.result;
            break;
        }
        int64_t until_ms = transfer->call->deadline_ms + transfer->moved / BYTES_PER_MS_MIN;
        if (until_ms > transfer->moved_ms + transfer->call->stall_ms)
            until_ms = transfer->moved_ms + transfer->call->stall_ms;
        int64_t left_ms = mr_left_ms(until_ms, POLL_MS_MAX);
        if (left_ms == 0) {
            result = CURLE_OPERATION_TIMEDOUT;
            break;
        }
        (void)curl_multi_poll(s3->multi, NULL, 0, (int)left_ms, NULL);
    }
    (void)curl_multi_remove_handle(s3->multi, s3->easy);
    return result;
}

static int
explain(const struct transfer *transfer, CURLcode result, struct mr_err *err)
{
    const struct mr_s3 *s3 = transfer->s3;
    const struct mr_store_call *call = transfer->call;
    const char *key = call->key != NULL ? call->key : "";
    if (transfer->local_errno != 0) {
        errno = transfer->local_errno;
        int code = errno == ENOSPC || errno == EDQUOT ? MR_E(FULL) : MR_E(IO);
        return mr_fail(err, code, MR_RETRY, "%s/%.200s: the local file: %s", s3->url, key,
                       strerror(errno));
    }
    if (call->ret_body != NULL && call->ret_body->failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_REJECT, "%s/%.200s has more than %zu bytes",
                       s3->url, key, call->ret_body->max);
    if (result == CURLE_OPERATION_TIMEDOUT)
        return mr_fail(err, MR_E(TIMEOUT), MR_RETRY, "%s/%.200s: %s does not answer", s3->url, key,
                       s3->origin);
    /* A stranger's certificate does not mend itself before the deadline. */
    if (result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE)
        return mr_fail(err, MR_E(DENIED), MR_RETRY,
                       "%s/%.150s: %s: %.150s; AWS_CA_BUNDLE names the certificates to trust",
                       s3->url, key, s3->origin, s3->detail);
    return mr_fail(err, MR_E(UNAVAILABLE), MR_RETRY, "%s/%.200s: %s", s3->url, key,
                   s3->detail[0] != '\0' ? s3->detail : curl_easy_strerror(result));
}

static void
take_reply(const struct mr_s3 *s3, struct mr_s3_reply *reply)
{
    curl_off_t bytes = -1, modified = -1;
    (void)curl_easy_getinfo(s3->easy, CURLINFO_RESPONSE_CODE, &reply->status);
    (void)curl_easy_getinfo(s3->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &bytes);
    (void)curl_easy_getinfo(s3->easy, CURLINFO_FILETIME_T, &modified);
    reply->bytes = bytes;
    reply->modified_ms = modified > 0 ? modified * 1000 : 0;

    size_t own = sizeof(META_HEADER) - 1;
    struct curl_header *header = NULL;
    while ((header = curl_easy_nextheader(s3->easy, CURLH_HEADER, -1, header)) != NULL) {
        char name[MR_STORE_NAME_MAX + 1] = "";
        size_t length = strlen(header->name);
        if (strcasecmp(header->name, "x-amz-bucket-region") == 0 &&
            strlen(header->value) < sizeof(reply->region))
            memcpy(reply->region, header->value, strlen(header->value) + 1);
        if (strncasecmp(header->name, META_HEADER, own) != 0 || length - own > MR_STORE_NAME_MAX)
            continue;
        for (size_t i = own; i < length; i++) {
            char c = header->name[i];
            name[i - own] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
        }
        mr_meta_add(&reply->meta, mr_slice_text(name), mr_slice_text(header->value));
    }
}

static char *
make_path(const struct mr_s3 *s3, const char *key)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf path;
    mr_buf_init(&path, URL_BYTES_MAX);
    mr_buf_text(&path, s3->path);
    if (key != NULL) {
        mr_buf_text(&path, "/");
        mr_sigv4_encode(mr_slice_text(s3->prefix), MR_SIGV4_PATH, &path);
        mr_sigv4_encode(mr_slice_text(key), MR_SIGV4_PATH, &path);
    }
    MR_ASSERT(!path.failed);
    return mr_strdup(path.size > 0 ? path.data : "/");
}

/* A try before this one may have left half a body behind. */
static int
empty_sink(const struct transfer *transfer, struct mr_err *err)
{
    const struct mr_store_call *call = transfer->call;
    if (call->ret_body != NULL)
        mr_buf_reset(call->ret_body);
    if (!transfer->is_put && call->fd >= 0 &&
        (ftruncate(call->fd, 0) != 0 || lseek(call->fd, 0, SEEK_SET) != 0))
        return mr_fail(err, MR_E(IO), MR_RETRY, "the local file: %s", strerror(errno));
    return 0;
}

int
mr_s3_exchange(struct mr_s3 *s3, const char *method, const char *query, struct mr_store_call *call,
               struct mr_s3_reply *reply, struct mr_err *err)
{
    MR_ASSERT(query != NULL);
    struct transfer transfer = { .s3 = s3, .call = call, .reply = reply };
    transfer.is_put = strcmp(method, "PUT") == 0;
    mr_buf_init(&reply->text, MR_S3_TEXT_MAX);
    const char *payload = NULL;
    if (empty_sink(&transfer, err) != 0 || hash_body(&transfer, &payload, err) != 0)
        return err->code;

    MR_CLEANUP(mr_freep) char *path = make_path(s3, call->key);
    MR_CLEANUP(mr_freep)
    char *url = mr_printf("%s%s%s%s", s3->origin, path, query[0] != '\0' ? "?" : "", query);
    MR_CLEANUP(mr_sigv4_fini)
    struct mr_sigv4_request request = { .method = method,
                                        .path = path,
                                        .query = query,
                                        .payload = payload,
                                        .region = s3->region,
                                        .service = "s3" };
    mr_sigv4_time(mr_wall_us(), request.time);
    add_headers(&transfer, &request);
    struct curl_slist *lines = header_lines(s3, &request);
    set_options(&transfer, method, url, lines);
    CURLcode result = run(&transfer);
    if (result == CURLE_OK)
        take_reply(s3, reply);
    /* The handle outlives what it was lent. */
    curl_easy_reset(s3->easy);
    curl_slist_free_all(lines);
    return result == CURLE_OK ? 0 : explain(&transfer, result, err);
}
