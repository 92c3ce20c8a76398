/*
 * s3_http: one signed exchange with an S3 server over libcurl.
 */
#ifndef MR_STORE_S3_HTTP_H
#define MR_STORE_S3_HTTP_H

#include "store/credentials.h"
#include "store/driver.h"

#include <curl/curl.h>

enum { MR_S3_CODE_MAX = 63, MR_S3_MESSAGE_MAX = 255, MR_S3_TEXT_MAX = 8 * 1024 * 1024 };

struct mr_s3 {
    CURLM *multi; /* holds the connections */
    CURL *easy;
    char *url;       /* s3://bucket/prefix */
    char *origin;    /* https://host[:port] */
    char *authority; /* host[:port] as the Host header says it */
    char *path;      /* "/bucket" or "" */
    char *prefix;    /* "prefix/" or "" */
    char *region;
    char *authorities; /* file of certificates to trust, NULL: the system's */
    bool hashed;       /* plain http: the body's SHA-256 is signed; https protects it by itself */
    bool refused;      /* the credentials were, so read them again before the next call */
    struct mr_credentials credentials;
    char detail[CURL_ERROR_SIZE];
};

struct mr_s3_reply {
    long status;
    int64_t bytes;       /* Content-Length; -1 when not told */
    int64_t modified_ms; /* Last-Modified; 0 when not told */
    struct mr_meta meta;
    char region[32];    /* where the bucket is, in the refusal of a wrong region */
    struct mr_buf text; /* the body of a listing or of an error */
};
void mr_s3_reply_fini(struct mr_s3_reply *reply); /* also for MR_CLEANUP */

/* Sends call's body for PUT; the body of a 200 or 206 goes into call->ret_body or call->fd where
 * one is given, and all others into reply->text. 0: there is an answer, whatever its status. */
int mr_s3_exchange(struct mr_s3 *s3, const char *method, const char *query,
                   struct mr_store_call *call, struct mr_s3_reply *reply, struct mr_err *err);

#endif
