/*
 * One grammar for all names. A tenant has no dot, a kind neither dot nor - nor _, so every topic
 * and every table belongs to one tenant and kind only.
 */
#include "names/names.h"

#include <stdio.h>

static const char *const suffixes[] = { "", ".valid", ".clean", ".dead" };

const char *
mr_topic_suffix(enum mr_topic_role role)
{
    MR_ASSERT(role < MR_COUNT(suffixes));
    return suffixes[role];
}

static bool
is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool
mr_tenant_ok(struct mr_slice tenant)
{
    const char *text = tenant.data;
    if (tenant.size < 1 || tenant.size > MR_TENANT_MAX)
        return false;
    for (size_t i = 0; i < tenant.size; i++) {
        char c = text[i];
        if (!is_lower(c) && !is_digit(c) && !(c >= 'A' && c <= 'Z') && c != '_' && c != '-')
            return false;
    }
    return true;
}

bool
mr_kind_ok(struct mr_slice kind)
{
    static const char *const reserved[] = { "valid", "clean", "dead", "table" };
    const char *text = kind.data;
    if (kind.size < 1 || kind.size > MR_KIND_MAX || !is_lower(text[0]))
        return false;
    for (size_t i = 1; i < kind.size; i++)
        if (!is_lower(text[i]) && !is_digit(text[i]))
            return false;
    for (size_t i = 0; i < MR_COUNT(reserved); i++)
        if (mr_slice_is_text(kind, reserved[i]))
            return false;
    return true;
}

static bool
take_names(struct mr_slice tenant, struct mr_slice kind, enum mr_topic_role role,
           struct mr_topic_name *ret)
{
    if (!mr_tenant_ok(tenant) || !mr_kind_ok(kind))
        return false;
    *ret = (struct mr_topic_name){ .role = role };
    memcpy(ret->tenant, tenant.data, tenant.size);
    memcpy(ret->kind, kind.data, kind.size);
    return true;
}

bool
mr_topic_parse(const char *topic, struct mr_topic_name *ret)
{
    const char *dot = strchr(topic, '.');
    if (dot == NULL)
        return false;
    const char *kind = dot + 1;
    size_t kind_size = strcspn(kind, ".");
    for (size_t role = 0; role < MR_COUNT(suffixes); role++)
        if (strcmp(kind + kind_size, suffixes[role]) == 0)
            return take_names(mr_slice(topic, (size_t)(dot - topic)), mr_slice(kind, kind_size),
                              (enum mr_topic_role)role, ret);
    return false;
}

void
mr_topic_format(const char *tenant, const char *kind, enum mr_topic_role role,
                char ret_topic[MR_TOPIC_MAX + 1])
{
    int length =
        snprintf(ret_topic, MR_TOPIC_MAX + 1, "%s.%s%s", tenant, kind, mr_topic_suffix(role));
    MR_ASSERT(length > 0 && length <= MR_TOPIC_MAX);
}

bool
mr_stream_parse(struct mr_slice stream, struct mr_topic_name *ret)
{
    static const char prefix[] = "streaming-", suffix[] = "_table";
    const char *text = stream.data;
    size_t size = stream.size, prefix_size = sizeof(prefix) - 1, suffix_size = sizeof(suffix) - 1;
    if (size > prefix_size && memcmp(text, prefix, prefix_size) == 0) {
        text += prefix_size;
        size -= prefix_size;
    }
    if (size > suffix_size && memcmp(text + size - suffix_size, suffix, suffix_size) == 0)
        size -= suffix_size;
    size_t kind = size;
    while (kind > 0 && text[kind - 1] != '.' && text[kind - 1] != '-' && text[kind - 1] != '_')
        kind--;
    if (kind == 0)
        return false;
    return take_names(mr_slice(text, kind - 1), mr_slice(text + kind, size - kind), MR_TOPIC_RAW,
                      ret);
}

void
mr_table_name(const char *tenant, const char *kind, char ret_table[MR_TABLE_MAX + 1])
{
    int length = snprintf(ret_table, MR_TABLE_MAX + 1, "%s_%s_table", tenant, kind);
    MR_ASSERT(length > 0 && length <= MR_TABLE_MAX);
}
