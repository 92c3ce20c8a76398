/*
 * For the tests of http over TLS: a libssl client in the thread of the server.
 */
#ifndef MR_TEST_HTTP_PEER_H
#define MR_TEST_HTTP_PEER_H

#include "http_client.h"

#include "certs.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

struct peer {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    bool failed;
};

extern struct certs certs; /* of test_http_tls.c */
int make_certs(void **state);
int drop_certs(void **state);

/* Lives as long as the process. */
static inline const char *
path_of(const char *file)
{
    static char paths[16][CERTS_PATH_MAX];
    char wanted[CERTS_PATH_MAX];
    size_t i = 0;
    (void)certs_path(&certs, file, wanted);
    while (paths[i][0] != '\0' && strcmp(paths[i], wanted) != 0)
        i++;
    assert_true(i < MR_COUNT(paths));
    return certs_path(&certs, file, paths[i]);
}

static inline struct mr_http_tls
server_files(void)
{
    return (struct mr_http_tls){ .cert = path_of("server.pem"), .key = path_of("server.key") };
}

static inline void
open_tls(struct fixture *fixture, const struct mr_http_tls *tls, mr_http_handler *handler,
         const struct mr_http_limits *limits)
{
    struct mr_err err = { 0 };
    *fixture = (struct fixture){ 0 };
    struct mr_http_options options = {
        .host = "127.0.0.1", .tls = *tls, .handler = handler, .self = fixture
    };
    if (limits != NULL)
        options.limits = *limits;
    if (mr_http_listen(&options, &fixture->http, &err) != 0)
        fail_msg("%s", err.text);
}

static inline void
peer_open(struct fixture *fixture, struct peer *peer, int version, const char *name)
{
    *peer = (struct peer){ .fd = client_open(fixture) };
    peer->context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(peer->context, version < TLS1_2_VERSION ? 0 : 1);
    if (version != 0) {
        (void)SSL_CTX_set_min_proto_version(peer->context, version);
        (void)SSL_CTX_set_max_proto_version(peer->context, version);
    }
    SSL_CTX_set_mode(peer->context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    assert_int_equal(SSL_CTX_load_verify_file(peer->context, path_of("ca.pem")), 1);
    SSL_CTX_set_verify(peer->context, SSL_VERIFY_PEER, NULL);
    if (name != NULL) {
        char file[CERTS_PATH_MAX];
        (void)snprintf(file, sizeof(file), "%s.pem", name);
        assert_int_equal(SSL_CTX_use_certificate_chain_file(peer->context, path_of(file)), 1);
        (void)snprintf(file, sizeof(file), "%s.key", name);
        assert_int_equal(
            SSL_CTX_use_PrivateKey_file(peer->context, path_of(file), SSL_FILETYPE_PEM), 1);
    }
    peer->ssl = SSL_new(peer->context);
    int flags = fcntl(peer->fd, F_GETFL);
    (void)fcntl(peer->fd, F_SETFL, flags | O_NONBLOCK);
    (void)SSL_set_fd(peer->ssl, peer->fd);
    SSL_set_connect_state(peer->ssl);
}

static inline void
peer_close(struct peer *peer)
{
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->context);
    (void)close(peer->fd);
}

/* One step of the peer: true when it has to wait for the server. */
static inline bool
peer_waits(struct peer *peer, int result)
{
    int code = SSL_get_error(peer->ssl, result);
    peer->failed = code != SSL_ERROR_WANT_READ && code != SSL_ERROR_WANT_WRITE;
    return !peer->failed;
}

static inline bool
peer_shake(struct fixture *fixture, struct peer *peer)
{
    int64_t deadline_ms = real_ms() + WAIT_MS_MAX;
    int result;
    ERR_clear_error();
    while ((result = SSL_do_handshake(peer->ssl)) != 1 && peer_waits(peer, result)) {
        (void)mr_http_poll(fixture->http, 1);
        assert_true(real_ms() < deadline_ms);
    }
    return result == 1;
}

static inline void
peer_send(struct fixture *fixture, struct peer *peer, const void *data, size_t size)
{
    int64_t deadline_ms = real_ms() + WAIT_MS_MAX;
    for (size_t at = 0; at < size && !peer->failed;) {
        ERR_clear_error();
        int result = SSL_write(peer->ssl, (const char *)data + at, (int)(size - at));
        if (result > 0)
            at += (size_t)result;
        else
            (void)peer_waits(peer, result);
        (void)mr_http_poll(fixture->http, 0);
        assert_true(real_ms() < deadline_ms);
    }
}

/* Until times copies of text have come, or (NULL) until the end. */
static inline void
peer_await(struct fixture *fixture, struct peer *peer, struct mr_buf *ret, const char *text,
           size_t times)
{
    int64_t deadline_ms = real_ms() + WAIT_MS_MAX;
    char piece[16384];
    while (!peer->failed && (text == NULL || count_text(ret, text) < times)) {
        (void)mr_http_poll(fixture->http, 1);
        ERR_clear_error();
        int result = SSL_read(peer->ssl, piece, sizeof(piece));
        if (result > 0)
            mr_buf_put(ret, piece, (size_t)result);
        else
            (void)peer_waits(peer, result);
        assert_true(real_ms() < deadline_ms);
    }
    if (text != NULL && count_text(ret, text) < times)
        fail_msg("ended before %zu times \"%s\"; came: %s", times, text,
                 ret->size > 0 ? ret->data : "nothing");
}

#endif
