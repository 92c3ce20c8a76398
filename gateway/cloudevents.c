/*
 * CloudEvents 1.0 over HTTP: one event with its attributes in ce- headers (binary), one as a JSON
 * object (structured), or a list of such objects (batch).
 *
 * What is stored is the data alone. source and id name the event (LAW 3); partitionkey, else
 * subject, becomes the record's key. The other attributes are not kept: the path says which kind of
 * event it is, and time is a matter of the contract. Data that is not JSON is refused here, as no
 * kind could take it.
 */
#include "gateway/events.h"

#include <strings.h>

/* The attributes that are looked at; the first four must be there. */
enum attribute {
    SPECVERSION,
    ID,
    SOURCE,
    TYPE,
    SUBJECT,
    PARTITIONKEY,
    DATACONTENTTYPE,
    ATTRIBUTES
};
enum { REQUIRED = TYPE + 1 };

static const char *const names[ATTRIBUTES] = {
    "specversion", "id", "source", "type", "subject", "partitionkey", "datacontenttype",
};

struct cloudevent {
    struct mr_slice attributes[ATTRIBUTES]; /* data NULL: absent */
    struct mr_slice data;
};

static bool
starts_with(struct mr_slice text, const char *start)
{
    size_t size = strlen(start);
    return text.size >= size && strncasecmp(text.data, start, size) == 0;
}

/* The media type without its parameters. */
static struct mr_slice
bare_type(struct mr_slice type)
{
    const char *text = type.data;
    size_t size = 0;
    while (size < type.size && text[size] != ';' && text[size] != ' ' && text[size] != '\t')
        size++;
    return mr_slice(text, size);
}

static bool
is_type(struct mr_slice bare, const char *type)
{
    return bare.size == strlen(type) && strncasecmp(bare.data, type, bare.size) == 0;
}

bool
media_is_json(struct mr_slice content_type)
{
    struct mr_slice bare = bare_type(content_type);
    static const char suffix[] = "+json";
    size_t size = sizeof(suffix) - 1;
    return is_type(bare, "application/json") || is_type(bare, "text/json") ||
           (bare.size > size &&
            strncasecmp((const char *)bare.data + bare.size - size, suffix, size) == 0);
}

enum cloudevents
cloudevents_form(struct mr_http_request *request)
{
    struct mr_slice type = mr_http_header(request, "content-type");
    if (starts_with(type, "application/cloudevents-batch"))
        return CLOUDEVENTS_BATCH;
    if (starts_with(type, "application/cloudevents"))
        return CLOUDEVENTS_ONE;
    return mr_http_header(request, "ce-specversion").data != NULL ||
                   mr_http_header(request, "ce-id").data != NULL
               ? CLOUDEVENTS_BINARY
               : CLOUDEVENTS_NONE;
}

/* ---- one event, however it came ---- */

static bool
check_attributes(struct intake *intake, const struct cloudevent *event)
{
    size_t index = intake->post->count;
    for (size_t i = 0; i < REQUIRED; i++)
        if (event->attributes[i].size == 0)
            return intake_refuse(intake, FAULT_ATTRIBUTE,
                                 "CloudEvent %zu has no %s; specversion, id, source and type are "
                                 "required (as ce-%s in headers)",
                                 index, names[i], names[i]);
    struct mr_slice version = event->attributes[SPECVERSION];
    if (!mr_slice_is_text(version, "1.0"))
        return intake_refuse(intake, FAULT_ATTRIBUTE,
                             "CloudEvent %zu has specversion %.*s; send 1.0", index,
                             (int)(version.size < EVENT_SHOWN_MAX ? version.size : EVENT_SHOWN_MAX),
                             (const char *)version.data);
    if (event->attributes[SOURCE].size + event->attributes[ID].size > EVENT_NAME_BYTES_MAX)
        return intake_refuse(intake, FAULT_ATTRIBUTE,
                             "CloudEvent %zu has a source and an id of %zu bytes together; send at "
                             "most %d",
                             index, event->attributes[SOURCE].size + event->attributes[ID].size,
                             EVENT_NAME_BYTES_MAX);
    struct mr_slice type = event->attributes[DATACONTENTTYPE];
    if (type.data != NULL && !media_is_json(type))
        return intake_refuse(intake, FAULT_MEDIA,
                             "CloudEvent %zu has data of type %.*s; send application/json", index,
                             (int)(type.size < EVENT_SHOWN_MAX ? type.size : EVENT_SHOWN_MAX),
                             (const char *)type.data);
    return true;
}

static bool
add(struct intake *intake, const struct cloudevent *from)
{
    if (!check_attributes(intake, from))
        return false;
    if (from->data.size == 0)
        return intake_refuse(intake, FAULT_ATTRIBUTE,
                             "CloudEvent %zu has no data; send the event as data (as the body when "
                             "the attributes stand in headers)",
                             intake->post->count);
    struct event *event = intake_add(intake, from->data);
    if (event == NULL)
        return false;
    event->key = from->attributes[PARTITIONKEY].data != NULL ? from->attributes[PARTITIONKEY]
                                                             : from->attributes[SUBJECT];
    event_name(event, from->attributes[SOURCE], from->attributes[ID]);
    return true;
}

/* ---- binary ---- */

static int
hex_digit(char c)
{
    char lower = (char)(c | 0x20);
    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Takes the quotes off, then undoes percent-encoding once; what is no such encoding stays. */
static struct mr_slice
decode_header(struct mr_slice value, struct mr_arena *arena)
{
    const char *from = value.data, *end = from + value.size;
    char *text = mr_arena_alloc(arena, value.size + 1), *to = text;
    bool is_quoted = value.size >= 2 && *from == '"' && end[-1] == '"';
    if (is_quoted) {
        from++;
        end--;
    }
    while (from < end) {
        if (is_quoted && *from == '\\' && from + 1 < end)
            from++;
        int high = *from == '%' && end - from > 2 ? hex_digit(from[1]) : -1;
        int low = high >= 0 ? hex_digit(from[2]) : -1;
        *to++ = low >= 0 ? (char)(high << 4 | low) : *from;
        from += low >= 0 ? 3 : 1;
    }
    return mr_slice(text, (size_t)(to - text));
}

static bool
take_binary(struct intake *intake)
{
    struct mr_http_request *request = intake->call->request;
    struct cloudevent event = { .data = mr_http_body(request) };
    for (size_t i = 0; i < ATTRIBUTES; i++) {
        char header[32] = "ce-";
        memcpy(header + 3, names[i], strlen(names[i]) + 1);
        struct mr_slice value = i == DATACONTENTTYPE ? mr_http_header(request, "content-type")
                                                     : mr_http_header(request, header);
        if (value.data == NULL)
            continue;
        event.attributes[i] =
            i == DATACONTENTTYPE ? value : decode_header(value, mr_http_arena(request));
        if (!mr_utf8_valid(event.attributes[i]))
            return intake_refuse(intake, FAULT_ATTRIBUTE, "header %s is not UTF-8, percent-encoded",
                                 header);
    }
    return add(intake, &event);
}

/* ---- structured ---- */

static bool
take_attribute(struct intake *intake, enum attribute i, struct mr_slice value,
               struct cloudevent *event)
{
    if (mr_slice_is_text(value, "null"))
        return true;
    struct mr_arena *arena = mr_http_arena(intake->call->request);
    if (((const char *)value.data)[0] != '"' ||
        !scan_unescape(value, arena, &event->attributes[i]) || !mr_utf8_valid(event->attributes[i]))
        return intake_refuse(intake, FAULT_ATTRIBUTE, "CloudEvent %zu has a %s that is not a text",
                             intake->post->count, names[i]);
    return true;
}

static bool
take_base64(struct intake *intake, struct mr_slice value, struct cloudevent *event)
{
    struct mr_arena *arena = mr_http_arena(intake->call->request);
    struct mr_slice text = { 0 };
    int64_t size = -1;
    if (((const char *)value.data)[0] == '"' && scan_unescape(value, arena, &text)) {
        char *bytes = mr_arena_alloc(arena, text.size / 4 * 3 + 3);
        size = mr_base64_decode(text, bytes);
        event->data = mr_slice(bytes, size > 0 ? (size_t)size : 0);
    }
    return size >= 0 || intake_refuse(intake, FAULT_ATTRIBUTE,
                                      "CloudEvent %zu has a data_base64 that is not base64 in a "
                                      "text (standard alphabet, with padding)",
                                      intake->post->count);
}

static bool
take_member(struct intake *intake, struct mr_slice key, struct mr_slice value,
            struct cloudevent *event)
{
    bool is_data = mr_slice_is_text(key, "data"), is_base64 = mr_slice_is_text(key, "data_base64");
    if ((is_data || is_base64) && event->data.data != NULL)
        return intake_refuse(intake, FAULT_ATTRIBUTE,
                             "CloudEvent %zu has its data twice; send data or data_base64",
                             intake->post->count);
    if (is_base64)
        return mr_slice_is_text(value, "null") || take_base64(intake, value, event);
    if (is_data) {
        event->data = mr_slice_is_text(value, "null") ? mr_slice(NULL, 0) : value;
        return true;
    }
    for (size_t i = 0; i < ATTRIBUTES; i++)
        if (mr_slice_is_text(key, names[i]))
            return take_attribute(intake, (enum attribute)i, value, event);
    return true;
}

static bool
take_object(struct intake *intake, struct scan *scan)
{
    struct cloudevent event = { 0 };
    struct mr_slice key, value;
    if (!scan_enter(scan, '{'))
        return false;
    while (scan_key(scan, &key) && scan_value(scan, &value))
        if (!take_member(intake, key, value, &event))
            return false;
    return scan->fault == NULL && add(intake, &event);
}

static bool
take_structured(struct intake *intake, enum cloudevents form)
{
    struct mr_slice type = bare_type(mr_http_header(intake->call->request, "content-type"));
    struct scan scan;
    bool is_taken = true;
    if (!is_type(type, form == CLOUDEVENTS_BATCH ? "application/cloudevents-batch+json"
                                                 : "application/cloudevents+json"))
        return intake_refuse(intake, FAULT_MEDIA,
                             "CloudEvents of type %.*s are not taken; send "
                             "application/cloudevents+json or application/cloudevents-batch+json",
                             (int)(type.size < EVENT_SHOWN_MAX ? type.size : EVENT_SHOWN_MAX),
                             (const char *)type.data);
    scan_init(&scan, mr_http_body(intake->call->request));
    if (form == CLOUDEVENTS_ONE && scan_peek(&scan) == '[')
        return intake_refuse(intake, FAULT_ENVELOPE,
                             "the body is a list of CloudEvents; send it with Content-Type "
                             "application/cloudevents-batch+json");
    if (form == CLOUDEVENTS_BATCH && scan_peek(&scan) == '{')
        return intake_refuse(intake, FAULT_ENVELOPE,
                             "the body is one CloudEvent; send a list, or Content-Type "
                             "application/cloudevents+json");
    if (form == CLOUDEVENTS_ONE)
        is_taken = take_object(intake, &scan);
    else if (scan_enter(&scan, '['))
        while (is_taken && scan_item(&scan))
            is_taken = take_object(intake, &scan);
    return (is_taken && scan_end(&scan)) || intake_refuse_scan(intake, &scan);
}

bool
cloudevents_take(struct intake *intake, enum cloudevents form)
{
    MR_ASSERT(form != CLOUDEVENTS_NONE);
    if (mr_http_body(intake->call->request).size == 0)
        return intake_refuse(intake, FAULT_ENVELOPE,
                             "the body is empty; send the CloudEvent's data, or the CloudEvent as "
                             "JSON");
    return form == CLOUDEVENTS_BINARY ? take_binary(intake) : take_structured(intake, form);
}
