/*
 * TLS under one connection, by OpenSSL on the non-blocking socket. What the handshake and the
 * records want to wait for becomes errno EAGAIN and what epoll watches, so that conn.c does not
 * know the difference.
 *
 * A certificate is replaced by a new context: new connections take it, old ones hold on to theirs.
 * Session tickets are sealed with keys of the context: no state here, and none is good any longer
 * when the certificates, and so perhaps who may come in, have changed.
 *
 * An end without close_notify is taken as an end: requests say their length, so a cut one is
 * never whole.
 */
#include "http/private.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    RECORD_BYTES = 16384,
    HANDSHAKE_BYTE = 0x16, /* the first of every TLS connection */
    ERROR_TEXT = 256,
};

/* ---- certificates ---- */

static int
refuse(const char *what, const char *path, struct mr_err *err)
{
    unsigned long code = ERR_get_error();
    const char *reason = ERR_SYSTEM_ERROR(code) ? strerror((int)ERR_GET_REASON(code))
                                                : ERR_reason_error_string(code);
    ERR_clear_error();
    return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s %s: %s", what, path,
                   reason != NULL ? reason : "OpenSSL refused it");
}

/* Nobody is there to be asked for a passphrase. */
static int
no_passphrase(char *buffer, int size, int is_writing, void *self)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    (void)self;
    return -1;
}

static int
choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_size,
                const unsigned char *offered, unsigned offered_size, void *self)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen = NULL;
    (void)ssl;
    (void)self;
    int found =
        SSL_select_next_proto(&chosen, ret_size, ours, sizeof(ours) - 1, offered, offered_size);
    *ret = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void
set_rules(SSL_CTX *context)
{
    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                           SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_session_id_context(context, (const unsigned char *)"millrace", 8);
    (void)SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
}

static int
read_files(SSL_CTX *context, const struct tls_files *files, struct mr_err *err)
{
    if (SSL_CTX_use_certificate_chain_file(context, files->cert) != 1)
        return refuse("cannot use the certificate in", files->cert, err);
    if (SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1)
        return refuse("cannot use the private key in", files->key, err);
    if (files->client_ca == NULL)
        return 0;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(files->client_ca);
    if (names == NULL || SSL_CTX_load_verify_file(context, files->client_ca) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return refuse("cannot use the certificates of client authorities in", files->client_ca,
                      err);
    }
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(
        context, SSL_VERIFY_PEER | (files->client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
        NULL);
    return 0;
}

/* What tells one content of the files from another, also behind links that are replaced. */
static void
look(const struct tls_files *files, struct tls_stamp ret[TLS_FILES])
{
    const char *const paths[TLS_FILES] = { files->cert, files->key, files->client_ca };
    for (size_t i = 0; i < TLS_FILES; i++) {
        struct stat found;
        ret[i] = (struct tls_stamp){ 0 };
        if (paths[i] == NULL || stat(paths[i], &found) != 0)
            continue;
        ret[i] = (struct tls_stamp){ .device = found.st_dev,
                                     .inode = found.st_ino,
                                     .size = found.st_size,
                                     .seconds = found.st_mtim.tv_sec,
                                     .nanoseconds = found.st_mtim.tv_nsec };
    }
}

static bool
stamps_differ(const struct tls_stamp *a, const struct tls_stamp *b)
{
    for (size_t i = 0; i < TLS_FILES; i++)
        if (a[i].device != b[i].device || a[i].inode != b[i].inode || a[i].size != b[i].size ||
            a[i].seconds != b[i].seconds || a[i].nanoseconds != b[i].nanoseconds)
            return true;
    return false;
}

bool
mr_http_tls_changed(const struct mr_http *http)
{
    MR_ASSERT(http != NULL);
    struct tls_stamp now[TLS_FILES];
    if (http->tls == NULL)
        return false;
    look(&http->tls->files, now);
    return stamps_differ(now, http->tls->stamps);
}

int
mr_http_tls_reload(struct mr_http *http, struct mr_err *err)
{
    MR_ASSERT(http != NULL);
    struct tls *tls = http->tls;
    if (tls == NULL)
        return 0;
    /* Before reading: what changes meanwhile is seen the next time. */
    look(&tls->files, tls->stamps);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    MR_ASSERT(context != NULL);
    set_rules(context);
    ERR_clear_error();
    int code = read_files(context, &tls->files, err);
    if (code != 0) {
        SSL_CTX_free(context);
        return code;
    }
    SSL_CTX_free(tls->context);
    tls->context = context;
    return 0;
}

int
tls_open(struct mr_http *http, const struct mr_http_tls *wish, struct mr_err *err)
{
    if (wish->cert == NULL)
        return 0;
    if (wish->key == NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "the certificate %s has no private key",
                       wish->cert);
    struct tls *tls = http->tls = mr_alloc(sizeof(*tls));
    tls->files.cert = mr_strdup(wish->cert);
    tls->files.key = mr_strdup(wish->key);
    tls->files.client_ca = wish->client_ca != NULL ? mr_strdup(wish->client_ca) : NULL;
    tls->files.client_required = wish->client_required;
    return mr_http_tls_reload(http, err);
}

void
tls_close(struct tls *tls)
{
    if (tls == NULL)
        return;
    SSL_CTX_free(tls->context);
    free(tls->files.cert);
    free(tls->files.key);
    free(tls->files.client_ca);
    free(tls);
}

/* ---- names of clients ---- */

/* NULL when it is empty, too long, or has control characters. */
static char *
copy_name(const ASN1_STRING *string)
{
    unsigned char *text = NULL;
    char *name = NULL;
    int size = ASN1_STRING_to_UTF8(&text, string);
    bool is_good = size > 0 && size <= CLIENT_NAME_BYTES_MAX;
    for (int i = 0; is_good && i < size; i++)
        is_good = text[i] >= 0x20 && text[i] != 0x7f;
    if (is_good)
        name = mr_strndup((const char *)text, (size_t)size);
    OPENSSL_free(text);
    return name;
}

static char *
alternative_name(const GENERAL_NAMES *names, int type)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        int found = 0;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &found);
        if (found == type)
            return copy_name(value);
    }
    return NULL;
}

static char *
common_name(const X509 *cert)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    return at >= 0 ? copy_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))) : NULL;
}

static void
name_client(struct conn *conn)
{
    X509 *cert = SSL_get1_peer_certificate(conn->ssl);
    if (cert == NULL || SSL_get_verify_result(conn->ssl) != X509_V_OK) {
        X509_free(cert);
        return;
    }
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    conn->client_name = alternative_name(names, GEN_URI);
    if (conn->client_name == NULL)
        conn->client_name = alternative_name(names, GEN_DNS);
    if (conn->client_name == NULL)
        conn->client_name = common_name(cert);
    GENERAL_NAMES_free(names);
    X509_free(cert);
}

/* ---- one connection ---- */

bool
tls_start(struct conn *conn)
{
    conn->ssl = SSL_new(conn->http->tls->context);
    if (conn->ssl == NULL || SSL_set_fd(conn->ssl, conn->fd) != 1)
        return false;
    SSL_set_accept_state(conn->ssl);
    conn->handshaking = true;
    return true;
}

/* errno as the socket would give it; EPROTO ends the connection. True: the socket must be writable
 * to go on. */
static bool
set_errno(struct conn *conn, int result)
{
    int code = SSL_get_error(conn->ssl, result);
    conn->ssl_failed = code == SSL_ERROR_SSL || code == SSL_ERROR_SYSCALL;
    errno = code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return code == SSL_ERROR_WANT_WRITE;
}

enum tls_step
tls_handshake(struct conn *conn)
{
    unsigned char first;
    if (!conn->ssl_heard) {
        if (recv(conn->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) != 1)
            return errno == EAGAIN ? TLS_AGAIN : TLS_FAILED;
        conn->ssl_heard = true;
        if (first >= 'A' && first <= 'Z')
            return TLS_PLAIN;
    }
    ERR_clear_error();
    int result = SSL_do_handshake(conn->ssl);
    if (result != 1) {
        conn->ssl_wants_write = set_errno(conn, result);
        return errno == EAGAIN ? TLS_AGAIN : TLS_FAILED;
    }
    conn->handshaking = false;
    conn->ssl_wants_write = false;
    conn->ssl_buffered = SSL_has_pending(conn->ssl) == 1;
    name_client(conn);
    return TLS_DONE;
}

/* Goes on while a record may have more behind it; epoll does not see what is buffered here. */
ssize_t
tls_receive(struct conn *conn, void *room, size_t size)
{
    size_t got = 0;
    conn->ssl_wants_write = false;
    for (;;) {
        size_t count = 0;
        ERR_clear_error();
        int result = SSL_read_ex(conn->ssl, (char *)room + got, size - got, &count);
        if (result != 1) {
            bool is_end = SSL_get_error(conn->ssl, result) == SSL_ERROR_ZERO_RETURN;
            conn->ssl_wants_write = !is_end && set_errno(conn, result);
            conn->ssl_buffered = got > 0 && (is_end || errno != EAGAIN); /* said at the next call */
            return got > 0 || is_end ? (ssize_t)got : -1;
        }
        got += count;
        conn->ssl_buffered = SSL_has_pending(conn->ssl) == 1;
        if (got == size || (count < RECORD_BYTES && !conn->ssl_buffered))
            return (ssize_t)got;
    }
}

/* Small pieces go in one record. A record that had to wait is offered again with the same bytes at
 * its beginning, as OpenSSL asks: replies only grow at their end. */
ssize_t
tls_send(struct conn *conn, const struct iovec *pieces, size_t count)
{
    const char *data = pieces[0].iov_base;
    size_t size = pieces[0].iov_len, sent = 0;
    if (count > 1 && size < RECORD_BYTES) {
        char *record = conn->http->scratch;
        size = 0;
        for (size_t i = 0; i < count && size < RECORD_BYTES; i++) {
            size_t room = RECORD_BYTES - size;
            size_t part = pieces[i].iov_len < room ? pieces[i].iov_len : room;
            memcpy(record + size, pieces[i].iov_base, part);
            size += part;
        }
        data = record;
    }
    ERR_clear_error();
    int result = SSL_write_ex(conn->ssl, data, size, &sent);
    if (result == 1)
        return (ssize_t)sent;
    (void)set_errno(conn, result);
    return -1;
}

/* As well as it goes: close_notify is sent, the peer's is not awaited. */
void
tls_say_end(struct conn *conn)
{
    if (conn->ssl == NULL || conn->handshaking || conn->ssl_failed || conn->blocked)
        return;
    ERR_clear_error();
    (void)SSL_shutdown(conn->ssl);
}

void
tls_stop(struct conn *conn)
{
    SSL_free(conn->ssl);
    conn->ssl = NULL;
    conn->handshaking = false;
}

bool
mr_http_is_tls(const struct mr_http_request *request)
{
    MR_ASSERT(request != NULL);
    return request->conn->http->tls != NULL;
}

const char *
mr_http_client_name(const struct mr_http_request *request)
{
    MR_ASSERT(request != NULL);
    return request->conn->client_name;
}
