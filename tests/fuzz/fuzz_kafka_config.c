/* Properties files: whatever the bytes, a list within its limits or an error with a text. */
#include "bus/kafka_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MR_CLEANUP(kafka_config_fini) struct kafka_config config = { 0 };
    struct mr_err err = { 0 };
    if (kafka_config_parse("fuzz", mr_slice(data, size), &config, &err) < 0) {
        MR_ASSERT(err.code < 0);
        MR_ASSERT(err.text[0] != '\0');
        return 0;
    }
    MR_ASSERT(config.count <= KAFKA_CONFIG_COUNT_MAX);
    for (size_t i = 0; i < config.count; i++)
        MR_ASSERT(config.settings[i].name[0] != '\0');
    return 0;
}
