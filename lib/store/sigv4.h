/*
 * sigv4: AWS Signature Version 4, in the Authorization header, for S3.
 *
 * Our own, since libcurl's differs between versions for keys with '=' and unsorted queries. Plain
 * functions without state. Threads: any.
 */
#ifndef MR_STORE_SIGV4_H
#define MR_STORE_SIGV4_H

#include "store/credentials.h"
#include "store/driver.h"

enum { MR_SIGV4_HEADERS_MAX = MR_STORE_META_MAX + 6, MR_SIGV4_TIME = 16 };

struct mr_sigv4_header {
    char name[64]; /* lower case */
    char *value;   /* owned */
};

struct mr_sigv4_request {
    const char *method;
    const char *path;    /* percent-encoded once, as it stands in the request line */
    const char *query;   /* encoded and sorted by name; "" when there is none */
    const char *payload; /* SHA-256 in hex, or UNSIGNED-PAYLOAD */
    const char *region, *service;
    char time[MR_SIGV4_TIME + 1];                         /* 20130524T000000Z */
    struct mr_sigv4_header headers[MR_SIGV4_HEADERS_MAX]; /* all are signed; sign sorts them */
    size_t headers_count;
};

void mr_sigv4_time(int64_t wall_us, char ret_time[MR_SIGV4_TIME + 1]);
void mr_sigv4_header(struct mr_sigv4_request *request, const char *name, const char *value);
void mr_sigv4_fini(struct mr_sigv4_request *request); /* the headers; also for MR_CLEANUP */
/* Appends the value of the Authorization header. */
void mr_sigv4_sign(struct mr_sigv4_request *request, const struct mr_credentials *credentials,
                   struct mr_buf *ret_authorization);

/* Everything but A-Z a-z 0-9 - . _ ~ becomes %XX; '/' stays in a path. */
enum mr_sigv4_part { MR_SIGV4_PATH, MR_SIGV4_QUERY };
void mr_sigv4_encode(struct mr_slice text, enum mr_sigv4_part part, struct mr_buf *ret_text);
void mr_sigv4_sha256(struct mr_slice bytes, char ret_hex[MR_SHA256_HEX + 1]);

#endif
