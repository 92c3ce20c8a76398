/*
 * http over TLS: a libssl client in the thread of the server. What stands above TLS is tested in
 * the other files; here are the handshake, who is let in, and what records can do to the reading.
 */
#include "http_peer.h"

#include <signal.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

struct certs certs;
static const char *const cert_names[] = { "server", "client", "spiffe", "dns", "second", NULL };

/* Answers with the name of the client. */
static void
answer_with_name(void *self, struct mr_http_request *request)
{
    struct fixture *fixture = self;
    const char *name = mr_http_client_name(request);
    assert_true(mr_http_is_tls(request));
    fixture->handled++;
    mr_http_reply(request, &(struct mr_http_reply){
                               .status = 200,
                               .content_type = "text/plain",
                               .body = mr_slice_text(name != NULL ? name : "nobody"),
                           });
}

/* ---- versions ---- */

static void
a_version_is_spoken(int version, bool is_good)
{
    struct fixture fixture;
    struct peer peer;
    struct mr_buf reply;
    struct mr_http_tls tls = server_files();
    open_tls(&fixture, &tls, answer_with_name, NULL);
    mr_buf_init(&reply, 65536);
    peer_open(&fixture, &peer, version, NULL);
    static const unsigned char offered[] = "\x02h2\x08http/1.1";
    (void)SSL_set_alpn_protos(peer.ssl, offered, sizeof(offered) - 1);
    assert_int_equal(peer_shake(&fixture, &peer), is_good);
    if (is_good) {
        const unsigned char *chosen;
        unsigned size;
        SSL_get0_alpn_selected(peer.ssl, &chosen, &size);
        assert_true(mr_slice_is_text(mr_slice(chosen, size), "http/1.1"));
        assert_int_equal(SSL_version(peer.ssl), version);
        peer_send(&fixture, &peer, GET("/"), sizeof(GET("/")) - 1);
        peer_await(&fixture, &peer, &reply, "nobody", 1);
    }
    peer_close(&peer);
    await_connections(&fixture, 0);
    assert_int_equal(fixture.handled, is_good);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
versions_1_2_and_1_3_are_spoken_and_no_older(void **state)
{
    (void)state;
    a_version_is_spoken(TLS1_3_VERSION, true);
    a_version_is_spoken(TLS1_2_VERSION, true);
    a_version_is_spoken(TLS1_1_VERSION, false);
    a_version_is_spoken(TLS1_VERSION, false);
}

static void
a_client_of_http_2_alone_is_refused(void **state)
{
    (void)state;
    static const unsigned char offered[] = "\x02h2";
    struct fixture fixture;
    struct peer peer;
    struct mr_http_tls tls = server_files();
    open_tls(&fixture, &tls, answer_with_name, NULL);
    peer_open(&fixture, &peer, 0, NULL);
    (void)SSL_set_alpn_protos(peer.ssl, offered, sizeof(offered) - 1);
    assert_false(peer_shake(&fixture, &peer));
    peer_close(&peer);
    mr_http_close(fixture.http);
}

static void
plain_text_is_told_so_in_plain_text(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf reply;
    struct mr_http_tls tls = server_files();
    open_tls(&fixture, &tls, answer_with_name, NULL);
    exchange(&fixture, GET("/"), sizeof(GET("/")) - 1, &reply);
    assert_memory_equal(reply.data, "HTTP/1.1 400 Bad Request\r\n", 26);
    assert_non_null(strstr(reply.data, "this port speaks TLS"));
    mr_buf_fini(&reply);
    exchange(&fixture, "\1\2\3\4\5\6", 6, &reply);
    assert_int_equal(count_text(&reply, "HTTP"), 0); /* an alert at the most */
    mr_buf_fini(&reply);
    assert_int_equal(fixture.handled, 0);
    mr_http_close(fixture.http);
}

/* ---- clients' certificates ---- */

/* The name that the server sees, or NULL: not let in. TLS 1.3 tells the client behind its
 * handshake. */
static void
check_client(const struct mr_http_tls *tls, int version, const char *cert, const char *name)
{
    struct fixture fixture;
    struct peer peer;
    struct mr_buf reply;
    open_tls(&fixture, tls, answer_with_name, NULL);
    mr_buf_init(&reply, 65536);
    peer_open(&fixture, &peer, version, cert);
    if (peer_shake(&fixture, &peer)) {
        peer_send(&fixture, &peer, GET("/"), sizeof(GET("/")) - 1);
        peer_await(&fixture, &peer, &reply, name, 1);
    }
    assert_int_equal(fixture.handled, name != NULL);
    peer_close(&peer);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
client_certificates_are_asked_for_and_named(void **state)
{
    (void)state;
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    struct mr_http_tls unasked = server_files(), optional = unasked, required;
    optional.client_ca = path_of("ca.pem");
    required = optional;
    required.client_required = true;
    for (size_t i = 0; i < MR_COUNT(versions); i++) {
        check_client(&unasked, versions[i], "client", "nobody");
        check_client(&optional, versions[i], NULL, "nobody");
        check_client(&optional, versions[i], "client", "a client");
        check_client(&required, versions[i], "client", "a client");
        check_client(&required, versions[i], "spiffe", "spiffe://x/y");
        check_client(&required, versions[i], "dns", "one.example");
        check_client(&required, versions[i], NULL, NULL);
    }
}

static void
certificates_of_other_authorities_are_refused(void **state)
{
    (void)state;
    struct certs others;
    struct mr_http_tls tls = server_files();
    tls.client_ca = path_of("ca.pem");
    certs_open(&others);
    EVP_PKEY *key = certs.ca_key;
    X509 *ca = certs.ca;
    /* Signed by the others, written where ours are looked for. */
    certs.ca_key = others.ca_key;
    certs.ca = others.ca;
    certs_make(&certs, "second", "a client", NULL);
    certs.ca_key = key;
    certs.ca = ca;
    check_client(&tls, TLS1_2_VERSION, "second", NULL);
    check_client(&tls, TLS1_3_VERSION, "second", NULL);
    static const char *const none[] = { NULL };
    certs_close(&others, none);
}

/* ---- reload ---- */

static void
check_server_name(struct peer *peer, const char *name)
{
    char text[64] = "";
    X509 *cert = SSL_get1_peer_certificate(peer->ssl);
    (void)X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, text,
                                    sizeof(text));
    X509_free(cert);
    assert_string_equal(text, name);
}

static void
a_new_certificate_is_for_new_connections(void **state)
{
    (void)state;
    struct fixture fixture;
    struct peer old, new;
    struct mr_buf reply;
    struct mr_err err = { 0 };
    struct mr_http_tls tls = { .cert = path_of("second.pem"), .key = path_of("second.key") };
    mr_buf_init(&reply, 65536);
    certs_make(&certs, "second", "before", NULL);
    open_tls(&fixture, &tls, answer_with_name, NULL);
    peer_open(&fixture, &old, 0, NULL);
    assert_true(peer_shake(&fixture, &old));
    check_server_name(&old, "before");
    assert_false(mr_http_tls_changed(fixture.http));
    certs_make(&certs, "second", "after", NULL);
    assert_true(mr_http_tls_changed(fixture.http));
    assert_int_equal(mr_http_tls_reload(fixture.http, &err), 0);
    assert_false(mr_http_tls_changed(fixture.http));
    peer_open(&fixture, &new, 0, NULL);
    assert_true(peer_shake(&fixture, &new));
    check_server_name(&new, "after");
    peer_send(&fixture, &old, GET("/"), sizeof(GET("/")) - 1);
    peer_await(&fixture, &old, &reply, "nobody", 1);
    peer_close(&old);
    peer_close(&new);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
write_text(const char *file, const char *text)
{
    FILE *out = fopen(path_of(file), "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    (void)fclose(out);
}

static void
files_that_are_not_good_change_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    struct peer peer;
    struct mr_err err = { 0 };
    struct mr_http_tls tls = { .cert = path_of("second.pem"), .key = path_of("second.key") };
    certs_make(&certs, "second", "before", NULL);
    open_tls(&fixture, &tls, answer_with_name, NULL);
    write_text("second.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    assert_true(mr_http_tls_changed(fixture.http));
    assert_int_equal(mr_http_tls_reload(fixture.http, &err), MR_E(INVALID));
    assert_non_null(strstr(err.text, "second.pem: "));
    assert_false(mr_http_tls_changed(fixture.http));
    err = (struct mr_err){ 0 };
    assert_int_equal(unlink(path_of("second.pem")), 0);
    assert_int_equal(mr_http_tls_reload(fixture.http, &err), MR_E(INVALID));
    assert_non_null(strstr(err.text, "No such file or directory"));
    peer_open(&fixture, &peer, 0, NULL);
    assert_true(peer_shake(&fixture, &peer));
    check_server_name(&peer, "before");
    peer_close(&peer);
    mr_http_close(fixture.http);
}

static void
files_that_are_not_good_are_refused_at_the_start(void **state)
{
    (void)state;
    struct mr_http *http = NULL;
    struct mr_http_tls cases[] = { server_files(), server_files(), server_files() };
    static const char *const texts[] = { "key values mismatch", "client authorities",
                                         "no private key" };
    cases[0].key = path_of("client.key");
    cases[1].client_ca = path_of("server.key");
    cases[2].key = NULL;
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        struct mr_err err = { 0 };
        struct mr_http_options options = { .host = "127.0.0.1",
                                           .tls = cases[i],
                                           .handler = answer_with_name };
        assert_int_equal(mr_http_listen(&options, &http, &err), MR_E(INVALID));
        if (strstr(err.text, texts[i]) == NULL)
            fail_msg("%s", err.text);
    }
}

/* ---- bytes ---- */

static void
large_bodies_pass_both_ways(void **state)
{
    (void)state;
    enum { SIZE = 3 << 20 };
    struct fixture fixture;
    struct peer peer;
    struct mr_buf request, reply;
    struct mr_http_tls tls = server_files();
    open_tls(&fixture, &tls, fixture_handle, NULL);
    mr_buf_init(&request, SIZE + 65536);
    mr_buf_init(&reply, SIZE + 65536);
    for (int chunked = 0; chunked <= 1; chunked++) {
        mr_buf_reset(&request);
        mr_buf_reset(&reply);
        mr_buf_text(&request, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        if (chunked)
            mr_buf_printf(&request, "Transfer-Encoding: chunked\r\n\r\n%x\r\n", SIZE);
        else
            mr_buf_printf(&request, "Content-Length: %d\r\n\r\n", SIZE);
        size_t start = request.size;
        char *body = mr_buf_extend(&request, SIZE);
        for (size_t i = 0; i < SIZE; i++)
            body[i] = (char)('a' + i % 23);
        mr_buf_text(&request, chunked ? "\r\n0\r\n\r\n" : "");
        peer_open(&fixture, &peer, 0, NULL);
        assert_true(peer_shake(&fixture, &peer));
        peer_send(&fixture, &peer, request.data, request.size);
        peer_await(&fixture, &peer, &reply, NULL, 0);
        assert_true(reply.size > SIZE);
        assert_memory_equal(reply.data + reply.size - SIZE, request.data + start, SIZE);
        peer_close(&peer);
    }
    mr_buf_fini(&request);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

/* All in one record, so that nothing but the buffered rest of it wakes the reading of the later
 * ones; and more in it than the pipeline holds. */
static void
pipelined_requests_in_one_record_are_all_answered(void **state)
{
    (void)state;
    enum { REQUESTS = 400 };
    struct fixture fixture;
    struct peer peer;
    struct mr_buf request, reply;
    struct mr_http_tls tls = server_files();
    open_tls(&fixture, &tls, fixture_handle, &(struct mr_http_limits){ .pipeline_max = 2 });
    mr_buf_init(&request, 65536);
    mr_buf_init(&reply, 1 << 20);
    for (int i = 0; i < REQUESTS; i++)
        mr_buf_text(&request, GET("/"));
    assert_true(request.size < 16384);
    peer_open(&fixture, &peer, 0, NULL);
    assert_true(peer_shake(&fixture, &peer));
    peer_send(&fixture, &peer, request.data, request.size);
    peer_await(&fixture, &peer, &reply, "GET /", REQUESTS);
    peer_close(&peer);
    mr_buf_fini(&request);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

/* The body is read into its place in pieces that are smaller than a record. */
static void
many_records_that_came_at_once_are_all_read(void **state)
{
    (void)state;
    enum { SIZE = 100, REQUESTS = 200 };
    struct fixture fixture;
    struct peer peer;
    struct mr_buf reply;
    struct mr_http_tls tls = server_files();
    open_tls(&fixture, &tls, fixture_handle, NULL);
    mr_buf_init(&reply, 1 << 20);
    peer_open(&fixture, &peer, 0, NULL);
    assert_true(peer_shake(&fixture, &peer));
    const char head[] = "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n";
    char body[SIZE];
    memset(body, 'b', SIZE);
    for (int i = 0; i < REQUESTS; i++) {
        assert_int_equal(SSL_write(peer.ssl, head, sizeof(head) - 1), sizeof(head) - 1);
        assert_int_equal(SSL_write(peer.ssl, body, SIZE), SIZE);
    }
    peer_await(&fixture, &peer, &reply, "POST /p bbb", REQUESTS);
    assert_int_equal(fixture.handled, REQUESTS);
    peer_close(&peer);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
a_peer_that_only_says_close_still_gets_its_answers(void **state)
{
    (void)state;
    struct fixture fixture;
    struct peer peer;
    struct mr_buf reply;
    struct mr_http_tls tls = server_files();
    open_tls(&fixture, &tls, fixture_handle, NULL);
    fixture.park = true;
    mr_buf_init(&reply, 65536);
    peer_open(&fixture, &peer, TLS1_3_VERSION, NULL);
    assert_true(peer_shake(&fixture, &peer));
    assert_true(SSL_write(peer.ssl, GET("/1"), sizeof(GET("/1")) - 1) > 0);
    assert_int_equal(SSL_shutdown(peer.ssl), 0);
    await_handled(&fixture, 1);
    for (int i = 0; i < 3; i++)
        (void)mr_http_poll(fixture.http, 0);
    fixture_answer(fixture.parked[0], false);
    peer_await(&fixture, &peer, &reply, NULL, 0);
    assert_non_null(strstr(reply.data, "GET /1"));
    assert_true((SSL_get_shutdown(peer.ssl) & SSL_RECEIVED_SHUTDOWN) != 0);
    peer_close(&peer);
    await_connections(&fixture, 0);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
a_body_is_invited_over_tls(void **state)
{
    (void)state;
    struct fixture fixture;
    struct peer peer;
    struct mr_buf reply;
    struct mr_http_tls tls = server_files();
    open_tls(&fixture, &tls, fixture_handle, NULL);
    mr_buf_init(&reply, 65536);
    peer_open(&fixture, &peer, 0, NULL);
    assert_true(peer_shake(&fixture, &peer));
    const char head[] = "POST /b HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n"
                        "Content-Length: 3\r\n\r\n";
    peer_send(&fixture, &peer, head, sizeof(head) - 1);
    peer_await(&fixture, &peer, &reply, "HTTP/1.1 100 Continue\r\n\r\n", 1);
    peer_send(&fixture, &peer, "abc", 3);
    peer_await(&fixture, &peer, &reply, "POST /b abc", 1);
    peer_close(&peer);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

/* ---- limits ---- */

static void
a_handshake_that_does_not_end_is_ended(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf reply;
    struct mr_http_tls tls = server_files();
    mr_clock_hold(1000000, 1700000000000000);
    open_tls(&fixture, &tls, answer_with_name,
             &(struct mr_http_limits){ .header_ms_max = 200, .idle_ms_max = 5000 });
    mr_buf_init(&reply, 65536);
    int silent = client_open(&fixture), slow = client_open(&fixture);
    await_connections(&fixture, 2);
    /* The header of a hello that never comes, byte by byte: no byte wins time. */
    const char hello[] = "\x16\x03\x01\x02\x00\x01";
    for (size_t i = 0; i < 5; i++) {
        client_send(&fixture, slow, hello + i, 1);
        (void)mr_http_poll(fixture.http, 0);
        mr_clock_crank(39);
    }
    (void)mr_http_poll(fixture.http, 0);
    assert_int_equal(mr_http_open_connections(fixture.http), 2);
    mr_clock_crank(5);
    client_await(&fixture, silent, &reply, NULL, 0);
    client_await(&fixture, slow, &reply, NULL, 0);
    assert_int_equal(mr_http_open_connections(fixture.http), 0);
    assert_int_equal(reply.size, 0);
    (void)close(silent);
    (void)close(slow);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
    mr_clock_release();
}

/* Gives the hello of a real client byte by byte. */
static void
a_handshake_byte_by_byte_is_completed(void **state)
{
    (void)state;
    struct fixture fixture;
    struct peer peer;
    struct mr_buf reply;
    struct mr_http_tls tls = server_files();
    open_tls(&fixture, &tls, answer_with_name, NULL);
    mr_buf_init(&reply, 65536);
    peer_open(&fixture, &peer, 0, NULL);
    BIO *written = BIO_new(BIO_s_mem());
    BIO *socket_bio = SSL_get_rbio(peer.ssl);
    (void)BIO_up_ref(socket_bio);
    SSL_set0_wbio(peer.ssl, written);
    bool is_done = false;
    for (int64_t end_ms = real_ms() + WAIT_MS_MAX; !is_done;) {
        char byte;
        is_done = SSL_do_handshake(peer.ssl) == 1;
        while (BIO_read(written, &byte, 1) == 1)
            client_send(&fixture, peer.fd, &byte, 1);
        (void)mr_http_poll(fixture.http, 1);
        assert_true(real_ms() < end_ms);
    }
    SSL_set0_wbio(peer.ssl, socket_bio);
    peer_send(&fixture, &peer, GET("/"), sizeof(GET("/")) - 1);
    peer_await(&fixture, &peer, &reply, "nobody", 1);
    peer_close(&peer);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
a_connection_too_many_is_told_so_over_tls(void **state)
{
    (void)state;
    struct fixture fixture;
    struct peer first, second;
    struct mr_buf reply;
    struct mr_http_tls tls = server_files();
    open_tls(&fixture, &tls, answer_with_name, &(struct mr_http_limits){ .connections_max = 1 });
    mr_buf_init(&reply, 65536);
    peer_open(&fixture, &first, 0, NULL);
    assert_true(peer_shake(&fixture, &first));
    peer_open(&fixture, &second, 0, NULL);
    assert_true(peer_shake(&fixture, &second));
    peer_await(&fixture, &second, &reply, NULL, 0);
    assert_memory_equal(reply.data, "HTTP/1.1 503 ", 13);
    peer_close(&first);
    peer_close(&second);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
a_peer_that_does_not_read_is_closed_over_tls(void **state)
{
    (void)state;
    enum { SIZE = 8 << 20 };
    struct fixture fixture;
    struct peer peer;
    struct mr_http_tls tls = server_files();
    mr_clock_hold(1000000, 1700000000000000);
    open_tls(&fixture, &tls, fixture_handle, &(struct mr_http_limits){ .write_ms_max = 400 });
    fixture.park = true;
    peer_open(&fixture, &peer, 0, NULL);
    assert_true(peer_shake(&fixture, &peer));
    peer_send(&fixture, &peer, GET("/"), sizeof(GET("/")) - 1);
    await_handled(&fixture, 1);
    MR_CLEANUP(mr_freep) char *body = mr_alloc(SIZE);
    mr_http_reply(fixture.parked[0],
                  &(struct mr_http_reply){ .status = 200, .body = mr_slice(body, SIZE) });
    (void)mr_http_poll(fixture.http, 0);
    mr_clock_crank(399);
    (void)mr_http_poll(fixture.http, 0);
    assert_int_equal(mr_http_open_connections(fixture.http), 1);
    mr_clock_crank(1);
    (void)mr_http_poll(fixture.http, 0);
    assert_int_equal(mr_http_open_connections(fixture.http), 0);
    peer_close(&peer);
    mr_http_close(fixture.http);
    mr_clock_release();
}

int
make_certs(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    certs_open(&certs);
    certs_make(&certs, "server", "a server", "DNS:localhost,IP:127.0.0.1");
    certs_make(&certs, "client", "a client", NULL);
    certs_make(&certs, "spiffe", "a client", "DNS:one.example,URI:spiffe://x/y");
    certs_make(&certs, "dns", "a client", "email:a@b.example,DNS:one.example,DNS:two.example");
    return 0;
}

int
drop_certs(void **state)
{
    (void)state;
    certs_close(&certs, cert_names);
    return 0;
}

int
tls_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_1_2_and_1_3_are_spoken_and_no_older),
        cmocka_unit_test(a_client_of_http_2_alone_is_refused),
        cmocka_unit_test(plain_text_is_told_so_in_plain_text),
        cmocka_unit_test(client_certificates_are_asked_for_and_named),
        cmocka_unit_test(certificates_of_other_authorities_are_refused),
        cmocka_unit_test(a_new_certificate_is_for_new_connections),
        cmocka_unit_test(files_that_are_not_good_change_nothing),
        cmocka_unit_test(files_that_are_not_good_are_refused_at_the_start),
        cmocka_unit_test(large_bodies_pass_both_ways),
        cmocka_unit_test(pipelined_requests_in_one_record_are_all_answered),
        cmocka_unit_test(many_records_that_came_at_once_are_all_read),
        cmocka_unit_test(a_peer_that_only_says_close_still_gets_its_answers),
        cmocka_unit_test(a_body_is_invited_over_tls),
        cmocka_unit_test(a_handshake_that_does_not_end_is_ended),
        cmocka_unit_test(a_handshake_byte_by_byte_is_completed),
        cmocka_unit_test(a_connection_too_many_is_told_so_over_tls),
        cmocka_unit_test(a_peer_that_does_not_read_is_closed_over_tls),
    };
    return cmocka_run_group_tests_name("http tls", tests, make_certs, drop_certs);
}
