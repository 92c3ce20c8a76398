/*
 * Content-Type and Accept: the first line is the one, the rest the other. Whatever they say, the
 * choice is among what is offered, and adding a taste for everything leaves no one without.
 */
#include "gateway/media.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const offered[] = { "application/vnd.kafka.v2+json", "application/json" };
    static const char any[] = ", */*;q=0.001";
    if (size == 0 || size > 4096)
        return 0;
    const uint8_t *line = memchr(data, '\n', size);
    size_t head = line != NULL ? (size_t)(line - data) : size;
    enum format format = media_format(mr_slice(data, head));
    MR_ASSERT(format >= FORMAT_JSON && format <= FORMAT_UNKNOWN);

    size_t rest = line != NULL ? size - head - 1 : 0;
    char *accept = mr_alloc(rest + sizeof(any));
    memcpy(accept, data + size - rest, rest);
    memcpy(accept + rest, any, sizeof(any));
    int picked = media_pick(mr_slice(accept, rest), offered, MR_COUNT(offered));
    MR_ASSERT(picked >= -1 && picked < (int)MR_COUNT(offered));
    int lenient = media_pick(mr_slice(accept, rest + sizeof(any) - 1), offered, MR_COUNT(offered));
    MR_ASSERT(picked < 0 || lenient >= 0);
    free(accept);
    return 0;
}
