/*
 * The tables of main.c say what the door does with events; this one, how it speaks with clients.
 */
#include "gateway/options.h"

#include "log/log.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>

enum {
    PATH_BYTES_MAX = 4096,
    MS_MAX = 24 * 3600 * 1000,
    OTHER_DESCRIPTORS = 512, /* of files, brokers, and consumers' connections to them */
};

#define AT(field) offsetof(struct options, field)

const struct mr_opt options_http[] = {
    { "body-bytes-max", MR_OPT_BYTES, AT(body_bytes_max), "16M", 1024, (int64_t)1 << 30, NULL,
      "Size of one request body, as sent and inflated; beyond it clients get 413.", false },
    { "held-bytes-max", MR_OPT_BYTES, AT(held_bytes_max), "32M", 1024 * 1024, (int64_t)8 << 30,
      NULL, "Bytes of all requests and answers held at one time; beyond it clients get 503.",
      false },
    { "inflate-ratio-max", MR_OPT_INT, AT(inflate_ratio_max), "200", 1, 100000, NULL,
      "Bytes of a compressed body for each byte of it sent, beyond its first 64 KiB; beyond it "
      "clients get 413.",
      false },
    { "header-bytes-max", MR_OPT_BYTES, AT(header_bytes_max), "16K", 1024, 1024 * 1024, NULL,
      "Size of a request's header, which has at most 100 lines; beyond it clients get 431.",
      false },
    { "connections-max", MR_OPT_INT, AT(connections_max), "4096", 1, 1000000, NULL,
      "Open client connections; beyond it clients get 503.", false },
    { "pipeline-max", MR_OPT_INT, AT(pipeline_max), "16", 1, 1024, NULL,
      "Requests of one connection under way; more of them wait unread.", false },
    { "requests-max", MR_OPT_INT, AT(requests_max), "0", 0, 1000000000, NULL,
      "Requests on one connection, which is closed behind the last; 0: any number.", false },
    { "header-ms-max", MR_OPT_MS, AT(header_ms_max), "10s", 10, MS_MAX, NULL,
      "Time for a TLS handshake, which is cut, and for a header; clients get 408.", false },
    { "body-ms-max", MR_OPT_MS, AT(body_ms_max), "30s", 10, MS_MAX, NULL,
      "Time for a body; beyond it clients get 408.", false },
    { "idle-ms-max", MR_OPT_MS, AT(idle_ms_max), "60s", 10, MS_MAX, NULL,
      "A connection without a request for so long is closed.", false },
    { "write-ms-max", MR_OPT_MS, AT(write_ms_max), "30s", 10, MS_MAX, NULL,
      "A client that does not read its answer for so long is cut.", false },
    { "stream-idle-ms-max", MR_OPT_MS, AT(stream_idle_ms_max), "5m", 10, MS_MAX, NULL,
      "A stream of records without another for so long is ended.", false },
    { "consumers-max", MR_OPT_INT, AT(consumers_max), "100", 1, 10000, NULL,
      "Consumer instances of REST clients, each with a thread, 2 MB, and up to 20 MB while it "
      "reads "
      "at full speed; beyond it clients get 429.",
      false },
    { "consumer-idle-ms", MR_OPT_MS, AT(consumer_idle_ms), "5m", 1000, 86400000, NULL,
      "A consumer instance that is not used for so long is gone.", false },
    { "tls-cert", MR_OPT_TEXT, AT(tls_cert), "", 0, PATH_BYTES_MAX, NULL,
      "PEM file of the certificate chain; with it clients must speak TLS 1.2 or 1.3. It is read "
      "again at SIGHUP and within a second after a change.",
      false },
    { "tls-key", MR_OPT_TEXT, AT(tls_key), "", 0, PATH_BYTES_MAX, NULL,
      "PEM file of the private key, without a passphrase.", false },
    { "tls-client-ca", MR_OPT_TEXT, AT(tls_client_ca), "", 0, PATH_BYTES_MAX, NULL,
      "PEM file of the authorities that sign clients' certificates; none: clients are not asked.",
      false },
    { "tls-client", MR_OPT_CHOICE, AT(tls_client), "required", 0, 0, "required|optional",
      "Whether a client without a certificate is let in, when --tls-client-ca is given.", false },
    { 0 },
};

static const char *
or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static bool
is_loopback_address(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
        return ntohl(four->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
    return address->sa_family == AF_INET6 && (IN6_IS_ADDR_LOOPBACK(&six->sin6_addr) ||
                                              (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) &&
                                               six->sin6_addr.s6_addr[12] == IN_LOOPBACKNET));
}

/* A name is what it resolves to: each of its addresses must be loopback. */
static bool
is_loopback(const char *host)
{
    struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    if (getaddrinfo(host[0] != '\0' ? host : NULL, "0", &hints, &found) != 0)
        return false;
    const struct addrinfo *at = found;
    while (at != NULL && is_loopback_address(at->ai_addr))
        at = at->ai_next;
    freeaddrinfo(found);
    return at == NULL;
}

int
options_check_listen(const struct options *options, const char *host, struct mr_err *err)
{
    bool has_policy = or_null(options->policy) != NULL,
         has_tls = or_null(options->tls_cert) != NULL;
    if (options->insecure || (has_policy && has_tls) || is_loopback(host))
        return 0;
    return mr_fail(err, MR_E(INVALID), MR_FATAL,
                   "--listen %s is beyond loopback without %s: add %s%s%s, or --insecure if others "
                   "may come in so",
                   options->listen,
                   has_policy ? "TLS"
                   : has_tls  ? "authentication"
                              : "authentication and TLS",
                   has_policy ? "" : "--policy", has_policy || has_tls ? "" : ", ",
                   has_tls ? "" : "--tls-cert and --tls-key");
}

/* The usual soft limit of 1024 would turn clients away long before --connections-max does. */
static void
raise_descriptors(rlim_t connections)
{
    struct rlimit limit;
    rlim_t wanted = connections + OTHER_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < wanted)
        mr_log(MR_LOG_WARN, "descriptors-too-few",
               " limit=%llu wanted=%llu fix=\"raise ulimit -n or lower --connections-max\"",
               (unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
}

int
options_apply(const struct options *options, struct door_options *ret, struct mr_err *err)
{
    if (options->body_bytes_max >= options->held_bytes_max)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "--body-bytes-max %lld does not fit in --held-bytes-max %lld",
                       (long long)options->body_bytes_max, (long long)options->held_bytes_max);
    if (options->body_bytes_max > options->in_flight_bytes)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "--body-bytes-max %lld is above --in-flight-bytes %lld",
                       (long long)options->body_bytes_max, (long long)options->in_flight_bytes);
    if ((or_null(options->tls_cert) == NULL) != (or_null(options->tls_key) == NULL))
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "--tls-cert %s and --tls-key %s: both are needed, or none",
                       options->tls_cert, options->tls_key);
    if (or_null(options->tls_client_ca) != NULL && or_null(options->tls_cert) == NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "--tls-client-ca %s needs --tls-cert",
                       options->tls_client_ca);
    ret->limits = (struct mr_http_limits){
        .connections_max = (size_t)options->connections_max,
        .body_bytes_max = (size_t)options->body_bytes_max,
        .held_bytes_max = (size_t)options->held_bytes_max,
        .header_bytes_max = (size_t)options->header_bytes_max,
        .inflate_ratio_max = (size_t)options->inflate_ratio_max,
        .pipeline_max = (size_t)options->pipeline_max,
        .requests_max = (size_t)options->requests_max,
        .header_ms_max = (int)options->header_ms_max,
        .body_ms_max = (int)options->body_ms_max,
        .idle_ms_max = (int)options->idle_ms_max,
        .write_ms_max = (int)options->write_ms_max,
        .stream_idle_ms_max = (int)options->stream_idle_ms_max,
    };
    raise_descriptors((rlim_t)options->connections_max);
    ret->consumers_max = (size_t)options->consumers_max;
    ret->consumer_idle_ms = options->consumer_idle_ms;
    ret->pipeline = options->service.pipeline;
    ret->tls = (struct mr_http_tls){
        .cert = or_null(options->tls_cert),
        .key = or_null(options->tls_key),
        .client_ca = or_null(options->tls_client_ca),
        .client_required = strcmp(options->tls_client, "required") == 0,
    };
    return 0;
}
