/*
 * For tests of TLS: a certificate authority and what it signs, made anew in a folder of its own,
 * so that nothing expires and no key lies in the repository.
 */
#ifndef MR_TEST_CERTS_H
#define MR_TEST_CERTS_H

#include "base/base.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CERTS_PATH_MAX = 128, CERTS_DAYS = 2, CERTS_SECONDS_A_DAY = 86400 };

struct certs {
    char folder[CERTS_PATH_MAX];
    EVP_PKEY *ca_key;
    X509 *ca;
    long serial;
};

static inline const char *
certs_path(const struct certs *certs, const char *file, char ret[CERTS_PATH_MAX])
{
    int size = snprintf(ret, CERTS_PATH_MAX, "%s/%s", certs->folder, file);
    MR_ASSERT(size < CERTS_PATH_MAX);
    return ret;
}

static inline void
certs_extend(X509 *cert, X509 *issuer, int id, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, id, value);
    MR_ASSERT(extension != NULL);
    (void)X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
}

static inline X509 *
certs_begin(struct certs *certs, EVP_PKEY *key, const char *common_name)
{
    X509 *cert = X509_new();
    X509_NAME *subject = X509_get_subject_name(cert);
    (void)X509_set_version(cert, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), ++certs->serial);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -CERTS_SECONDS_A_DAY);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), CERTS_DAYS * CERTS_SECONDS_A_DAY);
    (void)X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                     (const unsigned char *)common_name, -1, -1, 0);
    (void)X509_set_pubkey(cert, key);
    return cert;
}

static inline void
certs_write(const struct certs *certs, const char *name, const X509 *cert, const EVP_PKEY *key)
{
    char file[CERTS_PATH_MAX], path[CERTS_PATH_MAX];
    (void)snprintf(file, sizeof(file), "%s.pem", name);
    FILE *out = fopen(certs_path(certs, file, path), "w");
    MR_ASSERT(out != NULL);
    (void)PEM_write_X509(out, cert);
    (void)fclose(out);
    (void)snprintf(file, sizeof(file), "%s.key", name);
    out = fopen(certs_path(certs, file, path), "w");
    MR_ASSERT(out != NULL);
    (void)PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
    (void)fclose(out);
}

/* Writes NAME.pem and NAME.key. names: as in "DNS:localhost,URI:x", or NULL. */
static inline void
certs_make(struct certs *certs, const char *name, const char *common_name, const char *names)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = certs_begin(certs, key, common_name);
    (void)X509_set_issuer_name(cert, X509_get_subject_name(certs->ca));
    if (names != NULL)
        certs_extend(cert, certs->ca, NID_subject_alt_name, names);
    (void)X509_sign(cert, certs->ca_key, EVP_sha256());
    certs_write(certs, name, cert, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* An authority of its own in a new folder: ca.pem. */
static inline void
certs_open(struct certs *certs)
{
    *certs = (struct certs){ .folder = "/tmp/millrace-certs-XXXXXX" };
    char *made = mkdtemp(certs->folder);
    MR_ASSERT(made != NULL);
    certs->ca_key = EVP_EC_gen("P-256");
    certs->ca = certs_begin(certs, certs->ca_key, "test authority");
    (void)X509_set_issuer_name(certs->ca, X509_get_subject_name(certs->ca));
    certs_extend(certs->ca, certs->ca, NID_basic_constraints, "critical,CA:TRUE");
    (void)X509_sign(certs->ca, certs->ca_key, EVP_sha256());
    certs_write(certs, "ca", certs->ca, certs->ca_key);
}

/* Removes the files of the names, a list that ends with NULL, and all else. */
static inline void
certs_close(struct certs *certs, const char *const *names)
{
    char file[CERTS_PATH_MAX], path[CERTS_PATH_MAX];
    for (; *names != NULL; names++) {
        (void)snprintf(file, sizeof(file), "%s.pem", *names);
        (void)unlink(certs_path(certs, file, path));
        (void)snprintf(file, sizeof(file), "%s.key", *names);
        (void)unlink(certs_path(certs, file, path));
    }
    (void)unlink(certs_path(certs, "ca.pem", path));
    (void)unlink(certs_path(certs, "ca.key", path));
    (void)rmdir(certs->folder);
    X509_free(certs->ca);
    EVP_PKEY_free(certs->ca_key);
}

#endif
