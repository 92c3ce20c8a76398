#include "gateway/known.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

void
known_hash(const uint8_t secret[KNOWN_HASH_BYTES], struct mr_slice shown, struct known_key *ret)
{
    unsigned size = 0;
    unsigned char *done =
        HMAC(EVP_sha256(), secret, KNOWN_HASH_BYTES, shown.data, shown.size, ret->hash, &size);
    MR_ASSERT(done != NULL);
    MR_ASSERT(size == KNOWN_HASH_BYTES);
}

static size_t
place_of(const struct known_key *key)
{
    uint64_t number;
    memcpy(&number, key->hash, sizeof(number));
    return number % KNOWN_PLACES;
}

void
known_put(struct known *known, const struct known_key *key, struct entry *entry, int64_t until_ms)
{
    size_t place = place_of(key);
    known->places[place].key = *key;
    known->places[place].entry = entry;
    known->places[place].until_ms = until_ms;
}

bool
known_get(const struct known *known, const struct known_key *key, int64_t now_ms,
          struct entry **ret)
{
    size_t place = place_of(key);
    if (known->places[place].until_ms <= now_ms ||
        CRYPTO_memcmp(&known->places[place].key, key, sizeof(*key)) != 0)
        return false;
    *ret = known->places[place].entry;
    return true;
}
