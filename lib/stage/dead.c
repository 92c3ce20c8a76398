/*
 * Dead letters: the reason, the original bytes and where they came from, so that any of them can be
 * understood by a person and played again.
 */
#include <openssl/evp.h>

#include "clock/clock.h"
#include "millrace/v1/event.pb-c.h"
#include "stage/private.h"

enum { ORIGINAL_BYTES_MAX = 4 << 20, ORIGINAL_CUT_BYTES = 64 * 1024, SHA256_BYTES = 32 };

const char *
mr_dead_code_name(int code)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&millrace__v1__dead_code__descriptor, code);
    return value != NULL && code > 0 && code < MR_DEAD_CODES ? value->name : NULL;
}

int
mr_stage_emit_dead(struct mr_stage *stage, struct mr_stage_part *part, const struct mr_dead *dead,
                   struct mr_err *err)
{
    const struct mr_verdict *verdict = dead->verdict;
    uint8_t sha256[SHA256_BYTES];
    Millrace__V1__DeadLetter letter = MILLRACE__V1__DEAD_LETTER__INIT;
    MR_ASSERT(mr_dead_code_name(verdict->code) != NULL);

    letter.provenance = (Millrace__V1__Provenance *)dead->provenance;
    letter.origin = (Millrace__V1__Origin *)dead->origin;
    letter.kind = part->name.kind;
    letter.stage = (char *)stage->options.name;
    letter.code = (Millrace__V1__DeadCode)verdict->code;
    letter.field = (char *)verdict->field;
    letter.rule = (char *)verdict->rule;
    letter.value = (char *)verdict->value;
    letter.reason = (char *)verdict->reason;
    letter.original = (ProtobufCBinaryData){ dead->original.size, (uint8_t *)dead->original.data };
    letter.original_bytes = dead->original.size;
    letter.contract_version = dead->contract_version;
    letter.dead_us = mr_wall_us();
    letter.tombstone = dead->original.data == NULL;
    letter.attempts = 1;
    letter.first_dead_us = letter.dead_us;
    if (dead->provenance != NULL && dead->provenance->deaths > 0) {
        letter.attempts += dead->provenance->deaths;
        letter.first_dead_us = dead->provenance->first_dead_us;
    }
    /* A row of the dead table has to pass through engines of little memory: one that does not would
     * hold up all others. What is cut stands in the raw archive. */
    if (letter.original.len > (dead->is_cut ? ORIGINAL_CUT_BYTES : ORIGINAL_BYTES_MAX)) {
        (void)EVP_Digest(dead->original.data, dead->original.size, sha256, NULL, EVP_sha256(),
                         NULL);
        letter.original_sha256 = (ProtobufCBinaryData){ sizeof(sha256), sha256 };
        letter.original.len = ORIGINAL_CUT_BYTES;
    }
    size_t size = millrace__v1__dead_letter__get_packed_size(&letter);
    uint8_t *packed = mr_arena_alloc(&stage->arena, size);
    (void)millrace__v1__dead_letter__pack(&letter, packed);
    part->counts.dead++;
    part->counts.codes[verdict->code]++;
    return mr_stage_emit(stage, part->dead, part->part.partition,
                         dead->is_cut ? mr_slice(NULL, 0) : dead->key, mr_slice(NULL, 0),
                         mr_slice(packed, size), err);
}
