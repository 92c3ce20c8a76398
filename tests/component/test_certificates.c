/*
 * What only TLS makes possible: principals by their certificates, and signatures without the hash
 * of the body.
 */
#include "guard_fixture.h"

#include "certs.h"
#include "clock/clock.h"
#include "sigv4/sigv4.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <time.h>

#define GRANTS "'grants':[{'tenants':['*'],'kinds':['*'],'rights':['produce']}]"
#define POLICY                                                                                     \
    "{'principals':[{'name':'ann','tls':['ann.example','spiffe://x/ann'],'api_keys':['" KEY_HASH   \
    "']," GRANTS "},{'name':'bob','api_keys':['" KEY2_HASH "'],'aws':[{'access_key_id':'ID',"      \
    "'secret':'0123456789abcdef'}]," GRANTS "}]}"

enum { WAIT_S = 10 };

static struct certs certs;
static char paths[3][CERTS_PATH_MAX];

static SSL_CTX *
client_context(const char *name)
{
    char file[CERTS_PATH_MAX], path[CERTS_PATH_MAX];
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_non_null(context);
    if (name != NULL) {
        (void)snprintf(file, sizeof(file), "%s.pem", name);
        assert_int_equal(
            SSL_CTX_use_certificate_chain_file(context, certs_path(&certs, file, path)), 1);
        (void)snprintf(file, sizeof(file), "%s.key", name);
        assert_int_equal(
            SSL_CTX_use_PrivateKey_file(context, certs_path(&certs, file, path), SSL_FILETYPE_PEM),
            1);
    }
    return context;
}

static int
connect_to(const struct gate *gate)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)door_port(gate->door)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Posts ONE with a certificate, or none, and the header lines; the status. */
static int
post(struct gate *gate, const char *name, const char *lines)
{
    char text[4096], answer[65536];
    struct mr_slice body = ONE;
    time_t deadline = time(NULL) + WAIT_S;
    int length = snprintf(text, sizeof(text),
                          "POST /topics/" TOPIC " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" JSON
                          "%sContent-Length: %zu\r\n\r\n%s",
                          lines, body.size, (const char *)body.data);
    int fd = connect_to(gate), sent = 0, got = 0;
    SSL_CTX *context = client_context(name);
    SSL *ssl = SSL_new(context);
    (void)SSL_set_fd(ssl, fd);
    SSL_set_connect_state(ssl);
    while (sent <= 0 || got <= 0) {
        if (sent <= 0)
            sent = SSL_write(ssl, text, length);
        else
            got = SSL_read(ssl, answer, sizeof(answer) - 1);
        (void)door_step(gate->door, 1);
        assert_true(time(NULL) < deadline);
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    (void)close(fd);
    answer[got] = '\0';
    return (int)strtol(answer + strlen("HTTP/1.1 "), NULL, 10);
}

static void
open_tls(struct guarded *guarded)
{
    *guarded = (struct guarded){ .folder = "/tmp/millrace-tls-XXXXXX" };
    assert_non_null(mkdtemp(guarded->folder));
    (void)snprintf(guarded->policy, sizeof(guarded->policy), "%s/policy.json", guarded->folder);
    guarded_file(guarded, "policy.json", POLICY, 0600);
    struct gate_wish wish = { .topic = TOPIC,
                              .policy = guarded->policy,
                              .tls = { .cert = certs_path(&certs, "server.pem", paths[0]),
                                       .key = certs_path(&certs, "server.key", paths[1]),
                                       .client_ca = certs_path(&certs, "ca.pem", paths[2]) } };
    gate_open(&guarded->gate, &wish);
}

static void
a_certificate_names_its_principal(void **state)
{
    (void)state;
    struct guarded guarded;
    struct stored stored;
    open_tls(&guarded);
    assert_int_equal(post(&guarded.gate, "ann", ""), 200);
    assert_int_equal(post(&guarded.gate, "uri", ""), 200);
    assert_int_equal(post(&guarded.gate, NULL, ""), 401);
    assert_int_equal(guarded_count(&guarded, "tls", "admitted"), 2);
    stored_read(&guarded.gate, TOPIC, &stored);
    assert_int_equal(stored.count, 2);
    assert_string_equal(stored.provenance[0]->principal, "ann");
    stored_fini(&stored);
    guarded_close(&guarded);
}

static void
a_certificate_that_nobody_has_says_nothing(void **state)
{
    (void)state;
    struct guarded guarded;
    open_tls(&guarded);
    assert_int_equal(post(&guarded.gate, "carol", ""), 401);
    assert_int_equal(post(&guarded.gate, "carol", KEY), 200);
    assert_int_equal(post(&guarded.gate, "ann", KEY), 200);
    assert_int_equal(post(&guarded.gate, "ann", KEY2), 401);
    guarded_close(&guarded);
}

static void
over_tls_a_body_need_not_be_signed(void **state)
{
    (void)state;
    struct guarded guarded;
    char lines[2048];
    MR_CLEANUP(mr_buf_fini) struct mr_buf authorization;
    MR_CLEANUP(mr_sigv4_fini)
    struct mr_sigv4_request request = { .method = "POST",
                                        .path = "/topics/" TOPIC,
                                        .query = "",
                                        .payload = "UNSIGNED-PAYLOAD",
                                        .region = "eu-west-1",
                                        .service = "kinesis" };
    mr_sigv4_time(mr_wall_us(), request.time);
    mr_sigv4_header(&request, "host", "x");
    mr_sigv4_header(&request, "x-amz-content-sha256", request.payload);
    mr_sigv4_header(&request, "x-amz-date", request.time);
    mr_buf_init(&authorization, 1024);
    mr_sigv4_sign(&request, "ID", "0123456789abcdef", &authorization);
    (void)snprintf(lines, sizeof(lines),
                   "Authorization: %s\r\nx-amz-date: %s\r\n"
                   "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n",
                   authorization.data, request.time);
    open_tls(&guarded);
    assert_int_equal(post(&guarded.gate, NULL, lines), 200);
    assert_int_equal(guarded_count(&guarded, "sigv4", "admitted"), 1);
    guarded_close(&guarded);
}

static const char *const names[] = { "server", "ann", "uri", "carol", NULL };

static int
make_certs(void **state)
{
    (void)state;
    certs_open(&certs);
    certs_make(&certs, "server", "localhost", "DNS:localhost");
    certs_make(&certs, "ann", "ann.example", NULL);
    certs_make(&certs, "uri", "somebody", "URI:spiffe://x/ann");
    certs_make(&certs, "carol", "carol.example", NULL);
    return 0;
}

static int
drop_certs(void **state)
{
    (void)state;
    certs_close(&certs, names);
    return 0;
}

int
certificate_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_names_its_principal),
        cmocka_unit_test(a_certificate_that_nobody_has_says_nothing),
        cmocka_unit_test(over_tls_a_body_need_not_be_signed),
    };
    return cmocka_run_group_tests_name("certificates", tests, make_certs, drop_certs);
}
