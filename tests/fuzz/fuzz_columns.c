/* A damaged flat form is refused or reads as some batch, whose every value can be touched and whose
 * second flat form maps again. */
#include "columns/columns.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MR_CLEANUP(mr_freep) char *flat = mr_alloc(size); /* aligned, and exactly as long */
    MR_CLEANUP(mr_columns_freep) struct mr_columns *mapped = NULL, *again = NULL, *copy = NULL;
    MR_CLEANUP(mr_buf_fini) struct mr_buf written;
    struct mr_err err = { 0 };
    mr_buf_init(&written, SIZE_MAX / 4);

    if (size > 0)
        memcpy(flat, data, size);
    if (mr_columns_map(mr_slice(flat, size), &mapped, &err) != 0)
        return 0;
    struct mr_schema schema = { mr_alloc(mapped->count * sizeof(struct mr_field)), mapped->count };
    for (size_t c = 0; c < mapped->count; c++)
        schema.fields[c] = mapped->columns[c].field;
    copy = mr_columns_new(&schema);
    mr_schema_fini(&schema);
    for (size_t row = 0; row < mapped->rows; row++)
        mr_columns_copy_row(copy, mapped, row);
    mr_columns_write(copy, &written);
    MR_ASSERT(mr_columns_map(mr_buf_slice(&written), &again, &err) == 0);
    MR_ASSERT(again->rows == mapped->rows && again->count == mapped->count);
    return 0;
}
