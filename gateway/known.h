/*
 * known: credentials that were judged not long ago, so that a slow hash or a signature is not
 * checked for every request. Kept under a keyed hash of what was shown: memory holds no password
 * and no token, and nobody can choose what shares a place. Bounded: a place holds the last one.
 */
#ifndef MR_KNOWN_H
#define MR_KNOWN_H

#include "gateway/policy.h"

enum { KNOWN_PLACES = 1024, KNOWN_HASH_BYTES = 32 };

struct known_key {
    uint8_t hash[KNOWN_HASH_BYTES];
};

struct known {
    struct {
        struct known_key key;
        struct entry *entry; /* NULL: known to be wrong */
        int64_t until_ms;    /* of the wall clock; 0: free */
    } places[KNOWN_PLACES];
};

void known_hash(const uint8_t secret[KNOWN_HASH_BYTES], struct mr_slice shown,
                struct known_key *ret);
void known_put(struct known *known, const struct known_key *key, struct entry *entry,
               int64_t until_ms);
bool known_get(const struct known *known, const struct known_key *key, int64_t now_ms,
               struct entry **ret);

#endif
