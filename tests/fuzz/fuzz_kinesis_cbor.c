/*
 * Bodies of native Kinesis in CBOR. The answer must be CBOR that libcbor takes to its last byte.
 */
#include "kinesis.h"

#include <cbor.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 16384)
        return 0;
    struct mr_slice body = fuzz_kinesis("cbor", data, size);
    struct cbor_load_result result;
    cbor_item_t *answer = cbor_load(body.data, body.size, &result);
    MR_ASSERT(answer != NULL);
    MR_ASSERT(result.read == body.size);
    cbor_decref(&answer);
    return 0;
}
