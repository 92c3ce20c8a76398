/*
 * Certificates of the door that are renewed while it runs, as a mounted secret is: a link goes to
 * another folder.
 */
#include "gate.h"

#include "certs.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

enum { WAIT_S = 10, NAME_BYTES = 64 };

struct scene {
    struct certs certs;
    struct gate gate;
};

static const char *const cert_names[] = { "v1/server", "v2/server", "v3/server", NULL };
static const char *const folders[] = { "v1", "v2", "v3" };

/* Points the link at another folder, in one step. */
static void
point(struct scene *scene, const char *folder)
{
    char link[CERTS_PATH_MAX], fresh[CERTS_PATH_MAX];
    assert_int_equal(symlink(folder, certs_path(&scene->certs, "fresh", fresh)), 0);
    assert_int_equal(rename(fresh, certs_path(&scene->certs, "current", link)), 0);
}

static void
scene_open(struct scene *scene)
{
    char cert[CERTS_PATH_MAX], key[CERTS_PATH_MAX], path[CERTS_PATH_MAX];
    certs_open(&scene->certs);
    for (size_t i = 0; i < MR_COUNT(folders); i++)
        assert_int_equal(mkdir(certs_path(&scene->certs, folders[i], path), 0700), 0);
    certs_make(&scene->certs, "v1/server", "first", NULL);
    certs_make(&scene->certs, "v2/server", "second", NULL);
    certs_make(&scene->certs, "v3/server", "third", NULL);
    point(scene, "v1");
    struct gate_wish wish = {
        .tls = { .cert = certs_path(&scene->certs, "current/server.pem", cert),
                 .key = certs_path(&scene->certs, "current/server.key", key) },
    };
    gate_open(&scene->gate, &wish);
}

static void
scene_close(struct scene *scene)
{
    char path[CERTS_PATH_MAX];
    gate_close(&scene->gate);
    (void)unlink(certs_path(&scene->certs, "current", path));
    struct certs *certs = &scene->certs;
    char file[CERTS_PATH_MAX];
    for (size_t i = 0; cert_names[i] != NULL; i++) {
        (void)snprintf(file, sizeof(file), "%s.pem", cert_names[i]);
        (void)unlink(certs_path(certs, file, path));
        (void)snprintf(file, sizeof(file), "%s.key", cert_names[i]);
        (void)unlink(certs_path(certs, file, path));
        (void)rmdir(certs_path(certs, folders[i], path));
    }
    certs_close(certs, &cert_names[MR_COUNT(folders)]); /* these are gone already */
}

/* The name in the certificate that a new connection is shown. */
static const char *
shown_name(struct scene *scene, char ret[NAME_BYTES])
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)door_port(scene->gate.door)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    time_t deadline = time(NULL) + WAIT_S;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    (void)SSL_set_fd(ssl, fd);
    while (SSL_connect(ssl) != 1) {
        (void)door_step(scene->gate.door, 1);
        assert_true(time(NULL) < deadline);
    }
    X509 *cert = SSL_get1_peer_certificate(ssl);
    (void)X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, ret, NAME_BYTES);
    X509_free(cert);
    SSL_free(ssl);
    SSL_CTX_free(context);
    (void)close(fd);
    return ret;
}

static void
a_renewed_certificate_is_found_within_seconds(void **state)
{
    (void)state;
    struct scene scene;
    char name[NAME_BYTES];
    scene_open(&scene);
    assert_string_equal(shown_name(&scene, name), "first");
    point(&scene, "v2");
    time_t deadline = time(NULL) + WAIT_S;
    while (strcmp(shown_name(&scene, name), "first") == 0)
        assert_true(time(NULL) < deadline);
    assert_string_equal(name, "second");
    scene_close(&scene);
}

static void
a_reload_takes_it_at_once_or_says_why_not(void **state)
{
    (void)state;
    struct scene scene;
    struct mr_err err = { 0 };
    char name[NAME_BYTES], path[CERTS_PATH_MAX];
    scene_open(&scene);
    point(&scene, "v3");
    assert_int_equal(door_reload(scene.gate.door, &err), 0);
    assert_string_equal(shown_name(&scene, name), "third");
    assert_int_equal(unlink(certs_path(&scene.certs, "v3/server.key", path)), 0);
    assert_int_equal(door_reload(scene.gate.door, &err), MR_E(INVALID));
    assert_non_null(strstr(err.text, "current/server.key: No such file"));
    assert_string_equal(shown_name(&scene, name), "third");
    scene_close(&scene);
}

int
main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the service does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_renewed_certificate_is_found_within_seconds),
        cmocka_unit_test(a_reload_takes_it_at_once_or_says_why_not),
    };
    return cmocka_run_group_tests_name("renewal of certificates", tests, NULL, NULL);
}
