/* The shared credentials file: what is found can stand in a header line. */
#include "store/credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mr_credentials found;
    if (!mr_credentials_parse(mr_slice(data, size), "default", &found))
        return 0;
    MR_ASSERT(found.key_id[0] != '\0');
    MR_ASSERT(found.secret[0] != '\0');
    for (const char *c = found.secret; *c != '\0'; c++)
        MR_ASSERT(*c > ' ' && *c <= '~');
    return 0;
}
