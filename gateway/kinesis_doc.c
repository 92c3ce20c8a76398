#include "gateway/kinesis_doc.h"

#include "gateway/scan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_BYTES = 64 };

struct reader {
    struct scan scan;
    struct doc_room room;
    const char *fault; /* what the scan does not find */
    int depth;
};

static bool read_value(struct reader *reader, struct doc *ret);

struct doc *
doc_add(struct doc_room *room, struct doc *parent, struct doc **last)
{
    if (room->count == DOC_VALUES_MAX)
        return NULL;
    room->count++;
    struct doc *doc = mr_arena_alloc(room->arena, sizeof(*doc));
    *doc = (struct doc){ .type = DOC_NULL };
    if (*last != NULL)
        (*last)->next = doc;
    else
        parent->first = doc;
    *last = doc;
    parent->count++;
    return doc;
}

const struct doc *
doc_get(const struct doc *map, const char *name)
{
    const struct doc *found = NULL;
    for (const struct doc *at = map->first; map->type == DOC_MAP && at != NULL; at = at->next)
        if (mr_slice_is_text(at->name, name))
            found = at;
    return found != NULL && found->type != DOC_NULL ? found : NULL;
}

static bool
fail(struct reader *reader, const char *fault)
{
    if (reader->fault == NULL)
        reader->fault = fault;
    return false;
}

static bool
read_map(struct reader *reader, struct doc *ret)
{
    struct mr_slice name;
    struct doc *last = NULL;
    ret->type = DOC_MAP;
    if (!scan_enter(&reader->scan, '{'))
        return false;
    while (scan_key(&reader->scan, &name)) {
        struct doc *doc = doc_add(&reader->room, ret, &last);
        if (doc == NULL)
            return fail(reader, "there are too many values");
        doc->name = name;
        if (!read_value(reader, doc))
            return false;
    }
    return reader->scan.fault == NULL;
}

static bool
read_list(struct reader *reader, struct doc *ret)
{
    struct doc *last = NULL;
    ret->type = DOC_LIST;
    if (!scan_enter(&reader->scan, '['))
        return false;
    while (scan_item(&reader->scan)) {
        struct doc *doc = doc_add(&reader->room, ret, &last);
        if (doc == NULL)
            return fail(reader, "there are too many values");
        if (!read_value(reader, doc))
            return false;
    }
    return reader->scan.fault == NULL;
}

static bool
read_number(struct reader *reader, struct mr_slice raw, struct doc *ret)
{
    char text[NUMBER_BYTES];
    if (raw.size >= sizeof(text))
        return fail(reader, "a number is too long");
    memcpy(text, raw.data, raw.size);
    text[raw.size] = '\0';
    ret->type = DOC_NUMBER;
    ret->number = strtod(text, NULL);
    return isfinite(ret->number) || fail(reader, "a number is too large");
}

static bool
read_scalar(struct reader *reader, struct doc *ret)
{
    struct mr_slice raw;
    if (!scan_value(&reader->scan, &raw))
        return false;
    switch (((const char *)raw.data)[0]) {
    case '"':
        ret->type = DOC_TEXT;
        if (!scan_unescape(raw, reader->room.arena, &ret->text))
            return fail(reader, "a text has an escape that there is not");
        return mr_utf8_valid(ret->text) || fail(reader, "a text is not UTF-8");
    case 't':
    case 'f':
        ret->type = DOC_BOOL;
        ret->is_true = ((const char *)raw.data)[0] == 't';
        return true;
    case 'n':
        return true;
    default:
        return read_number(reader, raw, ret);
    }
}

static bool
read_value(struct reader *reader, struct doc *ret)
{
    char first = scan_peek(&reader->scan);
    if (first != '{' && first != '[')
        return read_scalar(reader, ret);
    if (reader->depth == DOC_DEPTH_MAX)
        return fail(reader, "values are nested too deep");
    reader->depth++;
    bool is_good = first == '{' ? read_map(reader, ret) : read_list(reader, ret);
    reader->depth--;
    return is_good;
}

int
doc_from_json(struct mr_slice body, struct mr_arena *arena, const struct doc **ret,
              struct mr_err *err)
{
    struct reader reader = { .room.arena = arena };
    struct doc *root = mr_arena_alloc(arena, sizeof(*root));
    *root = (struct doc){ .type = DOC_NULL };
    scan_init(&reader.scan, body);
    if (!read_value(&reader, root) || !scan_end(&reader.scan))
        return mr_fail(err, MR_E(INVALID), MR_REJECT,
                       "the body is not the JSON that is expected: "
                       "%s at byte %zu",
                       reader.fault != NULL ? reader.fault : reader.scan.fault,
                       (size_t)(reader.scan.at - reader.scan.start));
    *ret = root;
    return 0;
}
