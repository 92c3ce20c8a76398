/*
 * credentials: where the S3 keys come from: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
 * AWS_SESSION_TOKEN, else the profile AWS_PROFILE ("default") of AWS_SHARED_CREDENTIALS_FILE
 * (~/.aws/credentials).
 */
#ifndef MR_STORE_CREDENTIALS_H
#define MR_STORE_CREDENTIALS_H

#include "base/base.h"

enum { MR_KEY_ID_MAX = 128, MR_SECRET_MAX = 255, MR_TOKEN_MAX = 16 * 1024 };

struct mr_credentials {
    char key_id[MR_KEY_ID_MAX + 1];
    char secret[MR_SECRET_MAX + 1];
    char token[MR_TOKEN_MAX + 1]; /* "": none */
};

/* DENIED, fatal, when there are none; the text says where they were looked for. */
int mr_credentials_load(struct mr_credentials *ret, struct mr_err *err);
void mr_credentials_fini(struct mr_credentials *credentials); /* wipes; also for MR_CLEANUP */
/* The profile of a credentials file in memory; false when it is not there or not complete. */
bool mr_credentials_parse(struct mr_slice file, const char *profile, struct mr_credentials *ret);

#endif
