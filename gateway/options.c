/*
 * The tables of main.c say what the door does with events; this one, how it speaks with clients.
 */
#include "gateway/options.h"

enum { PATH_BYTES_MAX = 4096 };

#define AT(field) offsetof(struct options, field)

const struct mr_opt options_http[] = {
    { "body-bytes-max", MR_OPT_BYTES, AT(body_bytes_max), "16M", 1024, (int64_t)1 << 30, NULL,
      "Size of one request body, as sent and inflated; beyond it clients get 413.", false },
    { "connections-max", MR_OPT_INT, AT(connections_max), "4096", 1, 1000000, NULL,
      "Open client connections; beyond it clients get 503.", false },
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

int
options_apply(const struct options *options, struct door_options *ret, struct mr_err *err)
{
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
        .body_bytes_total_max = (size_t)options->in_flight_bytes,
    };
    ret->tls = (struct mr_http_tls){
        .cert = or_null(options->tls_cert),
        .key = or_null(options->tls_key),
        .client_ca = or_null(options->tls_client_ca),
        .client_required = strcmp(options->tls_client, "required") == 0,
    };
    return 0;
}
