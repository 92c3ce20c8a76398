/*
 * Provenance is packed by protobuf-c with place holders; field order puts the id at byte 4 and the
 * hash in the last 8 bytes, which is asserted, behind that of the chosen id. Packing each record
 * anew cost ten times as much.
 *
 * An id without an Idempotency-Key is 8 random bytes of this process and a counter: unique without
 * a call to the kernel for each record.
 */
#include "gateway/stamp.h"

#include <endian.h>
#include <millrace/v1/event.pb-c.h>
#include <openssl/evp.h>

enum { ID_AT = 4, TAIL_BYTES = 9, PRINCIPAL_BYTES_MAX = 256 };

/* Each part with its length in front, so that no two lists of parts are the same bytes. */
static void
hash_part(EVP_MD_CTX *hash, const void *data, size_t size)
{
    uint64_t length = htole64(size);
    int ok = EVP_DigestUpdate(hash, &length, sizeof(length));
    MR_ASSERT(ok == 1);
    ok = EVP_DigestUpdate(hash, data, size);
    MR_ASSERT(ok == 1);
}

static void
finish_hash(EVP_MD_CTX *hash, uint8_t ret[STAMP_HASH_BYTES])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    int ok = EVP_DigestFinal_ex(hash, digest, &size);
    MR_ASSERT(ok == 1);
    MR_ASSERT(size >= STAMP_HASH_BYTES);
    memcpy(ret, digest, STAMP_HASH_BYTES);
    EVP_MD_CTX_free(hash);
}

static EVP_MD_CTX *
begin_hash(void)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    MR_ASSERT(hash != NULL);
    int ok = EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    MR_ASSERT(ok == 1);
    return hash;
}

void
stamp_init(struct stamp *stamp, const struct stamp_origin *origin)
{
    MR_ASSERT(stamp != NULL);
    MR_ASSERT(strlen(origin->principal) <= PRINCIPAL_BYTES_MAX);
    uint8_t id[STAMP_ID_BYTES] = { 0 };
    Millrace__V1__Provenance provenance = MILLRACE__V1__PROVENANCE__INIT;

    stamp->principal = origin->principal;
    stamp->key = origin->key;
    stamp->is_named = origin->is_named;
    memset(stamp->key_hash, 0, sizeof(stamp->key_hash));
    provenance.version = 1;
    provenance.event_id = (ProtobufCBinaryData){ sizeof(id), id };
    provenance.received_us = origin->received_us;
    provenance.principal = (char *)origin->principal;
    provenance.traceparent = (char *)origin->traceparent;
    provenance.dialect = (Millrace__V1__Dialect)origin->dialect;
    provenance.value_hash = UINT64_MAX; /* not 0, which would not be packed */
    if (origin->key.data != NULL) {
        EVP_MD_CTX *hash = begin_hash();
        hash_part(hash, origin->principal, strlen(origin->principal));
        hash_part(hash, origin->key.data, origin->key.size);
        finish_hash(hash, stamp->key_hash);
    }
    /* It tells the validator that the id was chosen; of a named event the id itself stands here. */
    if (origin->key.data != NULL || origin->is_named)
        provenance.idempotency_hash = (ProtobufCBinaryData){ STAMP_HASH_BYTES, stamp->key_hash };
    MR_ASSERT(millrace__v1__provenance__get_packed_size(&provenance) <= STAMP_BYTES_MAX);
    stamp->size = millrace__v1__provenance__pack(&provenance, stamp->bytes);
    MR_ASSERT(stamp->bytes[ID_AT - 1] == STAMP_ID_BYTES);
    MR_ASSERT(stamp->bytes[stamp->size - TAIL_BYTES] == (8 << 3 | 1)); /* field 8, 64 bits */
}

static void
put_unique_id(uint8_t *ret)
{
    static uint64_t prefix, counter;
    if (counter == 0)
        mr_random(&prefix, sizeof(prefix));
    counter++;
    memcpy(ret, &prefix, sizeof(prefix));
    uint64_t number = htobe64(counter);
    memcpy(ret + sizeof(prefix), &number, sizeof(number));
}

void
stamp_id(const struct stamp *stamp, const char *topic, uint32_t index,
         const struct stamp_name *name, uint8_t ret[STAMP_ID_BYTES])
{
    if (name->id.data == NULL && stamp->key.data == NULL) {
        put_unique_id(ret);
        return;
    }
    EVP_MD_CTX *hash = begin_hash();
    hash_part(hash, stamp->principal, strlen(stamp->principal));
    hash_part(hash, topic, strlen(topic));
    if (name->id.data != NULL) { /* one part more than with a key: never the same bytes */
        hash_part(hash, "name", 4);
        hash_part(hash, name->source.data, name->source.size);
        hash_part(hash, name->id.data, name->id.size);
    } else {
        uint32_t number = htole32(index);
        hash_part(hash, stamp->key.data, stamp->key.size);
        hash_part(hash, &number, sizeof(number));
    }
    finish_hash(hash, ret);
}

int32_t
stamp_partition(const struct stamp *stamp, const struct stamp_name *name,
                const uint8_t id[STAMP_ID_BYTES], int partitions)
{
    MR_ASSERT(partitions > 0);
    MR_ASSERT(name->id.data != NULL || stamp->key.data != NULL);
    /* A request under one key stays together, so that its records keep their order. */
    const uint8_t *hash = name->id.data != NULL ? id : stamp->key_hash;
    return (int32_t)(mr_murmur2(hash, STAMP_HASH_BYTES) % (uint32_t)partitions);
}

struct mr_slice
stamp_record(struct stamp *stamp, const uint8_t id[STAMP_ID_BYTES], uint64_t value_hash)
{
    MR_ASSERT(stamp->size > 0);
    uint64_t number = htole64(value_hash);
    memcpy(stamp->bytes + ID_AT, id, STAMP_ID_BYTES);
    if (stamp->is_named)
        memcpy(stamp->bytes + stamp->size - TAIL_BYTES - STAMP_HASH_BYTES, id, STAMP_HASH_BYTES);
    memcpy(stamp->bytes + stamp->size - sizeof(number), &number, sizeof(number));
    return mr_slice(stamp->bytes, stamp->size);
}
