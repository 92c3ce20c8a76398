/*
 * The seam between bus.h and its two drivers: one table of functions for each of the three handles.
 * A driver's handle begins with its table; arguments have been checked by bus.c. mr_bus_open is
 * Kafka's and mr_bus_memory is memory's, so that a test on memory links no client library.
 */
#ifndef MR_BUS_DRIVER_H
#define MR_BUS_DRIVER_H

#include "bus/bus.h"

struct mr_settings {
    struct mr_setting *all; /* in any order */
    size_t count;
};

struct mr_bus_driver {
    void (*close)(struct mr_bus *bus);
    int (*cluster_id)(struct mr_bus *bus, const char **ret, int timeout_ms, struct mr_err *err);
    int (*topics)(struct mr_bus *bus, struct mr_topic **ret, size_t *ret_count, int timeout_ms,
                  struct mr_err *err);
    int (*create)(struct mr_bus *bus, const struct mr_topic_spec *spec, int timeout_ms,
                  struct mr_err *err);
    int (*remove)(struct mr_bus *bus, const char *topic, int timeout_ms, struct mr_err *err);
    int (*settings)(struct mr_bus *bus, const char *topic, struct mr_arena *arena,
                    struct mr_settings *ret, int timeout_ms, struct mr_err *err);
    int (*describe)(struct mr_bus *bus, const char *topic, struct mr_arena *arena,
                    struct mr_description *ret, int timeout_ms, struct mr_err *err);
    int (*offsets)(struct mr_bus *bus, const char *group, struct mr_offsets *offsets, size_t count,
                   int timeout_ms, struct mr_err *err);
    int (*high_watermarks)(struct mr_bus *bus, struct mr_offsets *offsets, size_t count,
                           int timeout_ms, struct mr_err *err);
    int (*offset_at)(struct mr_bus *bus, struct mr_offsets *offsets, int64_t time_ms,
                     int64_t *ret_offset, int timeout_ms, struct mr_err *err);
    int (*reader_open)(struct mr_bus *bus, const struct mr_reader_options *options,
                       struct mr_reader **ret, struct mr_err *err);
    int (*writer_open)(struct mr_bus *bus, const struct mr_writer_options *options,
                       struct mr_writer **ret, struct mr_err *err);
};

struct mr_reader_driver {
    void (*close)(struct mr_reader *reader);
    int (*subscribe)(struct mr_reader *reader, const char *const *topics, size_t count,
                     struct mr_err *err);
    int (*poll)(struct mr_reader *reader, size_t count_max, int timeout_ms, struct mr_batch *ret,
                struct mr_err *err);
    int (*assign)(struct mr_reader *reader, const struct mr_part *parts, size_t count,
                  struct mr_err *err);
    int (*release)(struct mr_reader *reader, struct mr_err *err);
    int (*seek)(struct mr_reader *reader, uint32_t slot, int64_t offset, struct mr_err *err);
    int (*pause)(struct mr_reader *reader, uint32_t slot, bool paused, struct mr_err *err);
    int (*commit)(struct mr_reader *reader, const struct mr_position *positions, size_t count,
                  int timeout_ms, struct mr_err *err);
    int (*offsets)(struct mr_reader *reader, struct mr_offsets *offsets, size_t count,
                   int timeout_ms, struct mr_err *err);
    int (*is_taken)(struct mr_reader *reader, int timeout_ms, struct mr_err *err);
};

struct mr_writer_driver {
    void (*close)(struct mr_writer *writer);
    int (*produce)(struct mr_writer *writer, const struct mr_message *message, struct mr_err *err);
    int (*partitions)(struct mr_writer *writer, const char *topic, int timeout_ms,
                      struct mr_err *err);
    int (*fd)(struct mr_writer *writer);
    int (*poll)(struct mr_writer *writer, int timeout_ms);
    int (*flush)(struct mr_writer *writer, int timeout_ms, struct mr_err *err);
    int (*begin)(struct mr_writer *writer, struct mr_err *err);
    int (*commit)(struct mr_writer *writer, struct mr_reader *reader,
                  const struct mr_position *positions, size_t count, int timeout_ms,
                  struct mr_err *err);
    int (*abort)(struct mr_writer *writer, int timeout_ms, struct mr_err *err);
};

struct mr_bus {
    const struct mr_bus_driver *driver;
};
struct mr_reader {
    const struct mr_reader_driver *driver;
};
struct mr_writer {
    const struct mr_writer_driver *driver;
};

#endif
