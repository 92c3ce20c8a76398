/*
 * stamp: who a record is. The millrace header (Provenance) is packed once for a request; what
 * differs from record to record, its id and the hash of its value, is written into it at fixed
 * places.
 */
#ifndef MR_STAMP_H
#define MR_STAMP_H

#include "base/base.h"

enum { STAMP_BYTES_MAX = 512, STAMP_ID_BYTES = 16, STAMP_HASH_BYTES = 16 };

/* What is known about a request. Strings are borrowed for the call. */
struct stamp_origin {
    int dialect; /* Millrace__V1__Dialect */
    int64_t received_us;
    const char *principal;
    const char *traceparent; /* well-formed */
    struct mr_slice key;     /* Idempotency-Key; data NULL: none was sent */
    bool is_named;           /* each of its events has a name */
};

struct stamp {
    uint8_t bytes[STAMP_BYTES_MAX];
    size_t size;
    const char *principal;
    struct mr_slice key;
    bool is_named;
    uint8_t key_hash[STAMP_HASH_BYTES];
};

/* What an event is called by its client; id.data NULL: nothing. */
struct stamp_name {
    struct mr_slice source, id;
};

void stamp_init(struct stamp *stamp, const struct stamp_origin *origin);
/* LAW 3: of a name, wherever it stands; else of the Idempotency-Key and the place in the request;
 * else unique. */
void stamp_id(const struct stamp *stamp, const char *topic, uint32_t index,
              const struct stamp_name *name, uint8_t ret[STAMP_ID_BYTES]);
/* LAW 6: where a record with a name or an Idempotency-Key goes. */
int32_t stamp_partition(const struct stamp *stamp, const struct stamp_name *name,
                        const uint8_t id[STAMP_ID_BYTES], int partitions);
/* The header of a record, valid until the next call. */
struct mr_slice stamp_record(struct stamp *stamp, const uint8_t id[STAMP_ID_BYTES],
                             uint64_t value_hash);

#endif
