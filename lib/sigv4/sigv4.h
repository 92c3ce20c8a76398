/*
 * sigv4: AWS Signature Version 4, in the Authorization header: for the store, which signs, and the
 * gateway, which checks.
 *
 * Our own, since libcurl's differs between versions for keys with '=' and unsorted queries. Plain
 * functions without state. Threads: any.
 */
#ifndef MR_SIGV4_H
#define MR_SIGV4_H

#include "base/base.h"

enum {
    MR_SIGV4_HEADERS_MAX = 40,
    MR_SIGV4_NAME_MAX = 63, /* of a header */
    MR_SIGV4_TIME = 16,
    MR_SIGV4_SECRET_MAX = 255,
    MR_SIGV4_SCOPE_MAX = 127,       /* of a key that is kept */
    MR_SIGV4_BYTES_MAX = 64 * 1024, /* path, query and headers together */
    MR_SHA256_HEX = 64,
};

struct mr_sigv4_header {
    char name[MR_SIGV4_NAME_MAX + 1]; /* lower case */
    char *value;                      /* owned */
};

struct mr_sigv4_request {
    const char *method;
    const char *path;    /* S3: percent-encoded once, as it stands in the request line; others: that
                          * encoded again */
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
/* What a secret became for a day, region and service; all zero at first, one for each secret. */
struct mr_sigv4_key {
    char scope[MR_SIGV4_SCOPE_MAX + 1];
    unsigned char bytes[32];
};
/* Sorts the headers. kept saves four of five HMACs when the scope is the last one's; may be NULL.
 */
void mr_sigv4_signature(struct mr_sigv4_request *request, const char *secret,
                        struct mr_sigv4_key *kept, char ret_hex[MR_SHA256_HEX + 1]);
/* Appends the value of the Authorization header. */
void mr_sigv4_sign(struct mr_sigv4_request *request, const char *key_id, const char *secret,
                   struct mr_buf *ret_authorization);

/* Everything but A-Z a-z 0-9 - . _ ~ becomes %XX; '/' stays in a path. */
enum mr_sigv4_part { MR_SIGV4_PATH, MR_SIGV4_QUERY };
void mr_sigv4_encode(struct mr_slice text, enum mr_sigv4_part part, struct mr_buf *ret_text);
void mr_sigv4_sha256(struct mr_slice bytes, char ret_hex[MR_SHA256_HEX + 1]);

#endif
