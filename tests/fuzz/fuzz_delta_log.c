/*
 * Commit files of anybody: whatever stands in them, a snapshot takes one in whole or stays where it
 * was.
 */
#include <stdlib.h>

#include "table/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_snapshot snapshot;
    mr_snapshot_init(&snapshot);
    struct mr_slice text = mr_slice(data, size);
    for (int64_t version = 0; version < 2; version++) {
        struct mr_err err = { 0 };
        size_t files = snapshot.files_count, parts = snapshot.parts_count;
        int64_t before = snapshot.version;
        if (mr_snapshot_apply(&snapshot, before + 1, text, &err) != 0) {
            MR_ASSERT(err.code < 0 && err.text[0] != '\0');
            MR_ASSERT(snapshot.version == before);
            MR_ASSERT(snapshot.files_count == files && snapshot.parts_count == parts);
        } else {
            MR_ASSERT(snapshot.version == before + 1);
            for (size_t i = 0; i < snapshot.files_count; i++)
                MR_ASSERT(snapshot.files[i].path != NULL);
        }
    }
    (void)mr_snapshot_totals(&snapshot, text);
    mr_snapshot_fini(&snapshot);
    return 0;
}
