/*
 * meta: the small map of names and values that travels with an object.
 *
 * What we write has to be right (asserted: it is our own doing); what comes back from the world is
 * filtered by the same rules.
 */
#include "store/driver.h"

#include <stdarg.h>
#include <stdio.h>

static bool
meta_name_ok(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return length > 0 && length <= MR_STORE_NAME_MAX && name[length] == '\0';
}

static bool
meta_value_ok(const char *value)
{
    size_t length = strlen(value);
    if (length == 0 || value[0] == ' ' || value[length - 1] == ' ')
        return false;
    for (size_t i = 0; i < length; i++)
        if (value[i] < ' ' || value[i] > '~')
            return false;
    return true;
}

void
mr_meta_set(struct mr_meta *meta, const char *name, const char *format, ...)
{
    MR_ASSERT(meta != NULL);
    MR_ASSERT(meta_name_ok(name));
    size_t i = 0;
    while (i < meta->count && strcmp(meta->items[i].name, name) != 0)
        i++;
    MR_ASSERT(i < MR_STORE_META_MAX);
    memcpy(meta->items[i].name, name, strlen(name) + 1);
    va_list args;
    va_start(args, format);
    int length = vsnprintf(meta->items[i].value, sizeof(meta->items[i].value), format, args);
    va_end(args);
    MR_ASSERT(length >= 0);
    MR_ASSERT(length <= MR_STORE_VALUE_MAX);
    MR_ASSERT(meta_value_ok(meta->items[i].value));
    if (i == meta->count)
        meta->count++;
}

const char *
mr_meta_get(const struct mr_meta *meta, const char *name)
{
    MR_ASSERT(meta != NULL);
    MR_ASSERT(name != NULL);
    for (size_t i = 0; i < meta->count; i++)
        if (strcmp(meta->items[i].name, name) == 0)
            return meta->items[i].value;
    return NULL;
}

/* From the world, so what does not fit our form was not written by us and is left out. */
void
mr_meta_add(struct mr_meta *meta, struct mr_slice name, struct mr_slice value)
{
    if (meta->count == MR_STORE_META_MAX || name.size > MR_STORE_NAME_MAX ||
        value.size > MR_STORE_VALUE_MAX)
        return;
    char own_name[MR_STORE_NAME_MAX + 1] = "", own_value[MR_STORE_VALUE_MAX + 1] = "";
    memcpy(own_name, name.data, name.size);
    memcpy(own_value, value.data, value.size);
    if (meta_name_ok(own_name) && meta_value_ok(own_value))
        mr_meta_set(meta, own_name, "%s", own_value);
}
