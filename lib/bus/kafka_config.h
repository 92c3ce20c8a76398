/*
 * The file of --kafka-config: Java's client.properties or kafka-rest.properties as people have
 * them, or librdkafka's own names, turned into a list of librdkafka settings.
 */
#ifndef MR_KAFKA_CONFIG_H
#define MR_KAFKA_CONFIG_H

#include "base/base.h"

enum { KAFKA_CONFIG_BYTES_MAX = 64 * 1024, KAFKA_CONFIG_COUNT_MAX = 128 };

struct kafka_setting {
    char *name, *value; /* value may be a secret: never shown */
    unsigned line;
};

struct kafka_config {
    char *file;
    struct kafka_setting *settings;
    size_t count;
};

int kafka_config_read(const char *file, struct kafka_config *ret, struct mr_err *err);
/* file is only named in errors. */
int kafka_config_parse(const char *file, struct mr_slice text, struct kafka_config *ret,
                       struct mr_err *err);
void kafka_config_fini(struct kafka_config *config);

#endif
