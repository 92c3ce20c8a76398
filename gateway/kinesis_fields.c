/*
 * The fields of native requests and what is wrong with them, in the words that the service has for
 * it where it has some.
 */
#include "gateway/kinesis_native.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    VIOLATIONS_MAX = 10, /* as the service tells at most */
    VALUE_SHOWN_BYTES = 128,
    HASH_KEY_DIGITS_MAX = 39,
    SEQUENCE_DIGITS_MAX = 129,
};

static const char arn_part[] = ":stream/";

static const char *const type_names[] = {
    [DOC_NULL] = "null",     [DOC_BOOL] = "a truth value", [DOC_NUMBER] = "a number",
    [DOC_TEXT] = "a text",   [DOC_BYTES] = "bytes",        [DOC_LIST] = "a list",
    [DOC_MAP] = "an object",
};

void
ask_mismatch(struct ask *ask, const char *name, const char *format, ...)
{
    if (ask->mismatch[0] != '\0')
        return;
    int size = snprintf(ask->mismatch, sizeof(ask->mismatch), "%s%s ", ask->place, name);
    MR_ASSERT(size > 0);
    MR_ASSERT(size < NATIVE_MISMATCH_BYTES);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(ask->mismatch + size, sizeof(ask->mismatch) - (size_t)size, format, arguments);
    va_end(arguments);
}

void
ask_violate(struct ask *ask, const char *name, struct mr_slice value, const char *format, ...)
{
    char constraint[VALUE_SHOWN_BYTES * 2];
    va_list arguments;
    if (ask->violations_count == VIOLATIONS_MAX)
        return;
    va_start(arguments, format);
    (void)vsnprintf(constraint, sizeof(constraint), format, arguments);
    va_end(arguments);

    struct mr_buf *text = &ask->violations;
    mr_buf_text(text, ask->violations_count++ > 0 ? "; Value " : "Value ");
    if (value.data == NULL)
        mr_buf_text(text, "null");
    else
        mr_buf_printf(text, "'%.*s'",
                      (int)(value.size < VALUE_SHOWN_BYTES ? value.size : VALUE_SHOWN_BYTES),
                      (const char *)value.data);
    mr_buf_printf(text, " at '%s%c%s' failed to satisfy constraint: %s", ask->place,
                  tolower((unsigned char)name[0]), name + 1, constraint);
}

bool
ask_ok(struct ask *ask)
{
    if (ask->mismatch[0] != '\0') {
        back_fail(&ask->back, FAULT_JSON, "%s", ask->mismatch);
        return false;
    }
    if (ask->violations_count == 0)
        return true;
    back_fail(&ask->back, FAULT_ENVELOPE, "%zu validation error%s detected: %s",
              ask->violations_count, ask->violations_count > 1 ? "s" : "", ask->violations.data);
    return false;
}

/* The field when it is there and of that type. */
static const struct doc *
get(struct ask *ask, const char *name, enum doc_type type)
{
    const struct doc *field = doc_get(ask->map, name);
    if (field == NULL || field->type == type)
        return field;
    ask_mismatch(ask, name, "is %s where %s is expected", type_names[field->type],
                 type_names[type]);
    return NULL;
}

static bool
is_name(struct mr_slice text)
{
    const char *at = text.data;
    for (size_t i = 0; i < text.size; i++)
        if (!isalnum((unsigned char)at[i]) && at[i] != '_' && at[i] != '.' && at[i] != '-')
            return false;
    return text.size > 0;
}

static bool
is_number(struct mr_slice text, size_t digits_max)
{
    const char *at = text.data;
    for (size_t i = 0; i < text.size; i++)
        if (!isdigit((unsigned char)at[i]))
            return false;
    return text.size == 1 || (text.size > 1 && text.size <= digits_max && at[0] != '0');
}

/* The pattern when the text is not like it, or NULL. */
static const char *
broken_pattern(struct mr_slice text, enum pattern pattern)
{
    switch (pattern) {
    case PATTERN_NAME:
        return is_name(text) ? NULL : "[a-zA-Z0-9_.-]+";
    case PATTERN_HASH_KEY:
        return is_number(text, HASH_KEY_DIGITS_MAX) ? NULL : "0|([1-9]\\d{0,38})";
    case PATTERN_SEQUENCE:
        return is_number(text, SEQUENCE_DIGITS_MAX) ? NULL : "0|([1-9]\\d{0,128})";
    default:
        return NULL;
    }
}

static size_t
count_characters(struct mr_slice utf8)
{
    size_t count = 0;
    for (size_t i = 0; i < utf8.size; i++)
        count += (((const unsigned char *)utf8.data)[i] & 0xc0) != 0x80;
    return count;
}

static void
check_text(struct ask *ask, const char *name, struct mr_slice text, const struct rule *rule)
{
    size_t characters = count_characters(text);
    const char *pattern = broken_pattern(text, rule->pattern);
    if (pattern != NULL)
        ask_violate(ask, name, text, "Member must satisfy regular expression pattern: %s", pattern);
    if (characters < 1)
        ask_violate(ask, name, text, "Member must have length greater than or equal to 1");
    if (rule->most > 0 && characters > rule->most)
        ask_violate(ask, name, text, "Member must have length less than or equal to %zu",
                    rule->most);
}

struct mr_slice
ask_text(struct ask *ask, const char *name, const struct rule *rule)
{
    const struct doc *field = get(ask, name, DOC_TEXT);
    if (field != NULL) {
        check_text(ask, name, field->text, rule);
        return field->text;
    }
    if (rule->is_required && doc_get(ask->map, name) == NULL)
        ask_violate(ask, name, mr_slice(NULL, 0), "Member must not be null");
    return mr_slice(NULL, 0);
}

int64_t
ask_int(struct ask *ask, const char *name, int64_t least, int64_t most, int64_t none)
{
    const struct doc *field = get(ask, name, DOC_NUMBER);
    char shown[64];
    if (field == NULL)
        return none;
    (void)snprintf(shown, sizeof(shown), "%.15g", field->number);
    if (field->number != floor(field->number))
        ask_mismatch(ask, name, "is %s where a whole number is expected", shown);
    else if (field->number < (double)least)
        ask_violate(ask, name, mr_slice_text(shown),
                    "Member must have value greater than or equal to %lld", (long long)least);
    else if (field->number > (double)most)
        ask_violate(ask, name, mr_slice_text(shown),
                    "Member must have value less than or equal to %lld", (long long)most);
    else
        return (int64_t)field->number;
    return none;
}

int64_t
ask_time(struct ask *ask, const char *name)
{
    static const double most_ms = 253402300799999.0; /* the end of the year 9999 */
    const struct doc *field = get(ask, name, DOC_NUMBER);
    if (field == NULL)
        return -1;
    double time_ms = field->is_milliseconds ? field->number : field->number * 1000;
    if (time_ms >= 0 && time_ms <= most_ms)
        return (int64_t)llround(time_ms);
    ask_mismatch(ask, name, "is no time; send seconds since 1970");
    return -1;
}

int
ask_word(struct ask *ask, const char *name, bool is_required, const char *const *words)
{
    struct mr_slice text = ask_text(ask, name, &(struct rule){ .is_required = is_required });
    char shown[VALUE_SHOWN_BYTES + 1] = "";
    size_t size = 0;
    for (int i = 0; words[i] != NULL; i++) {
        if (mr_slice_is_text(text, words[i]))
            return i;
        size += (size_t)snprintf(shown + size, sizeof(shown) - size, "%s%s", i > 0 ? ", " : "",
                                 words[i]);
        MR_ASSERT(size < sizeof(shown));
    }
    if (text.size > 0)
        ask_violate(ask, name, text, "Member must satisfy enum value set: [%s]", shown);
    return -1;
}

/* JSON has no bytes: there they are base64. */
static bool
take_bytes(struct ask *ask, const char *name, const struct doc *field, struct mr_slice *ret)
{
    *ret = field->text;
    if (field->type == DOC_BYTES)
        return true;
    if (field->type != DOC_TEXT) {
        ask_mismatch(ask, name,
                     "is %s where base64 is expected; encode the event's JSON (an SDK does it by "
                     "itself), or PUT it as it is to /streams/<name>/record",
                     type_names[field->type]);
        return false;
    }
    char *bytes = mr_arena_alloc(mr_http_arena(ask->back.request), field->text.size / 4 * 3 + 3);
    int64_t size = mr_base64_decode(field->text, bytes);
    if (size >= 0) {
        *ret = mr_slice(bytes, (size_t)size);
        return true;
    }
    ask_mismatch(ask, name,
                 "is not base64; encode the event's JSON (an SDK does it by itself), or PUT it as "
                 "it is to /streams/<name>/record");
    return false;
}

struct mr_slice
ask_bytes(struct ask *ask, const char *name, size_t most)
{
    const struct doc *field = doc_get(ask->map, name);
    struct mr_slice bytes;
    char shown[128];
    if (field == NULL) {
        ask_violate(ask, name, mr_slice(NULL, 0), "Member must not be null");
        return mr_slice(NULL, 0);
    }
    if (!take_bytes(ask, name, field, &bytes))
        return mr_slice(NULL, 0);
    if (bytes.size > most) {
        (void)snprintf(shown, sizeof(shown), "java.nio.HeapByteBuffer[pos=0 lim=%zu cap=%zu]",
                       bytes.size, bytes.size);
        ask_violate(ask, name, mr_slice_text(shown),
                    "Member must have length less than or equal to %zu", most);
    }
    return bytes;
}

struct mr_slice
ask_stream(struct ask *ask, bool is_required)
{
    static const struct rule name_rule = { .most = NATIVE_STREAM_MAX, .pattern = PATTERN_NAME };
    static const struct rule arn_rule = { .most = 2048 };
    struct mr_slice arn = ask_text(ask, "StreamARN", &arn_rule);
    struct mr_slice name = ask_text(ask, "StreamName", &name_rule);
    size_t part = sizeof(arn_part) - 1;
    if (name.data == NULL && arn.data != NULL) {
        const char *at = memmem(arn.data, arn.size, arn_part, part);
        const char *end = (const char *)arn.data + arn.size;
        name = at != NULL ? mr_slice(at + part, (size_t)(end - at) - part) : arn;
        if (!is_name(name))
            ask_violate(ask, "StreamARN", arn,
                        "Member must satisfy regular expression pattern: "
                        "arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+");
    }
    if (is_required && name.data == NULL && ask->mismatch[0] == '\0')
        ask_violate(ask, "StreamName", mr_slice(NULL, 0), "Member must not be null");
    return name;
}
