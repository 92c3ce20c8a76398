/*
 * policy: the file that says who may do what at the door, read into tables. Immutable once read; a
 * changed file is read into a new one (guard.h).
 *
 *   {"principals":[{"name":"ingest","api_keys":["sha256:<hex>"],
 *                   "grants":[{"tenants":["a1b2c3"],"kinds":["*"],"rights":["produce"]}]}]}
 *
 * docs/guides/security.md describes every field. What is not known here is refused, so that a
 * mistyped limit is no missing one. Texts are borrowed from the file's JSON.
 */
#ifndef MR_POLICY_H
#define MR_POLICY_H

#include "base/base.h"
#include "gateway/guard.h"
#include "gateway/tokens.h"

#include <time.h>

enum {
    POLICY_BYTES_MAX = 4 << 20,
    POLICY_PRINCIPALS_MAX = 10000,
    POLICY_LIST_MAX = 1000, /* entries of one list in it */
    POLICY_NAME_MAX = 64,
    POLICY_FILES_MAX = 64, /* that the policy names */
};

/* Lists end with NULL; a NULL list is all. */
struct grant {
    const char **tenants, **kinds;
    unsigned rights;
};

struct limits { /* 0: none */
    int64_t requests_per_s, bytes_per_s, burst_s;
};

/* A claim that a token must make: its value is this text, or a list with it. */
struct claim {
    const char *name, *value;
};

struct entry {
    const char *name;
    struct grant *grants;
    size_t grants_count;
    struct limits limits;
    struct claim *claims;
    size_t claims_count;
    struct principal *principal; /* the guard's */
};

/* How one can show who one is. */
enum method {
    METHOD_NONE,
    METHOD_KEY,
    METHOD_BASIC,
    METHOD_JWT,
    METHOD_SIGV4,
    METHOD_TLS,
    METHODS
};

/* name: the SHA-256 of an API key in hex, a user, an access key id, the name in a certificate. */
struct credential {
    const char *name;
    const char *secret;           /* crypt(3) hash of the password; secret access key */
    struct mr_sigv4_key *signing; /* what the secret access key became last */
    struct entry *entry;
};

struct cors {
    const char **origins; /* NULL: there is no CORS */
    bool is_any;
    int64_t max_age_s;
};

struct policy_file {
    char *path;
    bool is_shared; /* others may open it */
    struct timespec changed;
    long long size, inode;
};

struct policy {
    struct mr_arena arena;
    struct json_t *json;
    struct entry *entries;
    size_t entries_count;
    struct entry *anonymous; /* NULL: who shows nothing is not let in */
    struct credential *credentials[METHODS];
    size_t credentials_count[METHODS];
    struct token_rules tokens;
    struct cors cors;
    struct policy_file files[POLICY_FILES_MAX];
    size_t files_count;
    bool has_secrets; /* the file itself must be private */
};

int policy_open(const char *path, struct policy **ret, struct mr_err *err);
void policy_close(struct policy *policy);
void policy_closep(struct policy **policy);
/* True when one of its files is not what was read. */
bool policy_changed(const struct policy *policy);
const struct credential *policy_find(const struct policy *policy, enum method method,
                                     const char *name);

#endif
