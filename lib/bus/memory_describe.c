/*
 * What is known of topics in memory: one broker, number 1, holds them all. Of what a broker would
 * set by default only the largest record is shown, because only that has an effect here.
 */
#include <stdio.h>

#include "bus/memory_state.h"

static struct topic *
find(struct memory_bus *bus, const char *name, struct mr_err *err)
{
    struct topic *topic = memory_topic(bus, name);
    if (topic == NULL)
        (void)mr_fail(err, MR_E(NOT_FOUND), MR_REJECT, "there is no topic %s", name);
    return topic;
}

int
memory_remove(struct mr_bus *handle, const char *name, int timeout_ms, struct mr_err *err)
{
    (void)timeout_ms;
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    if (memory_fault(bus, "delete", err) < 0)
        return err->code;
    struct topic *topic = find(bus, name, err), **place = &bus->topics;
    if (topic == NULL)
        return err->code;
    while (*place != topic)
        place = &(*place)->next;
    *place = topic->next;
    topic->next = bus->gone;
    bus->gone = topic;
    memory_forget_offsets(bus, NULL, topic);
    memory_group_topic_changed(bus, topic);
    return 0;
}

static void
put_setting(struct mr_arena *arena, struct mr_settings *settings, const char *name,
            const char *value, bool is_default)
{
    struct mr_setting *synonym = mr_arena_alloc(arena, sizeof(*synonym));
    struct mr_setting *setting = &settings->all[settings->count++];
    *synonym = (struct mr_setting){
        .name = mr_arena_copy(arena, name, strlen(name)),
        .value = mr_arena_copy(arena, value, strlen(value)),
        .source = is_default ? "DEFAULT_CONFIG" : "DYNAMIC_TOPIC_CONFIG",
        .is_default = is_default,
    };
    *setting = *synonym;
    setting->synonyms = synonym;
    setting->synonyms_count = 1;
}

int
memory_settings(struct mr_bus *handle, const char *name, struct mr_arena *arena,
                struct mr_settings *ret, int timeout_ms, struct mr_err *err)
{
    static const char largest[] = "max.message.bytes";
    (void)timeout_ms;
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    const struct topic *topic = find(bus, name, err);
    size_t count = 0;
    bool has_largest = false;
    if (topic == NULL)
        return err->code;
    while (topic->settings[2 * count] != NULL)
        count++;
    ret->all = mr_arena_alloc(arena, (count + 1) * sizeof(*ret->all));
    ret->count = 0;
    for (size_t i = 0; i < count; i++) {
        has_largest = has_largest || strcmp(topic->settings[2 * i], largest) == 0;
        put_setting(arena, ret, topic->settings[2 * i], topic->settings[2 * i + 1], false);
    }
    if (!has_largest) {
        char value[16];
        (void)snprintf(value, sizeof(value), "%d", MEMORY_RECORD_BYTES_MAX);
        put_setting(arena, ret, largest, value, true);
    }
    return 0;
}

int
memory_describe(struct mr_bus *handle, const char *name, struct mr_arena *arena,
                struct mr_description *ret, int timeout_ms, struct mr_err *err)
{
    static const struct mr_broker broker = { .id = 1, .host = "memory", .port = 9092 };
    static const int32_t replicas[] = { 1 };
    (void)timeout_ms;
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    struct mr_description description = { .brokers = &broker, .brokers_count = 1, .controller = 1 };
    if (memory_fault(bus, "describe", err) < 0)
        return err->code;
    if (name != NULL) {
        const struct topic *topic = find(bus, name, err);
        if (topic == NULL)
            return err->code;
        size_t count = (size_t)topic->pub.partitions;
        struct mr_partition *partitions = mr_arena_alloc(arena, count * sizeof(*partitions));
        for (size_t i = 0; i < count; i++)
            partitions[i] = (struct mr_partition){ .leader = 1,
                                                   .replicas = replicas,
                                                   .insync = replicas,
                                                   .replicas_count = 1,
                                                   .insync_count = 1 };
        description.partitions = partitions;
        description.partitions_count = count;
    }
    *ret = description;
    return 0;
}
