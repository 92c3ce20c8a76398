/*
 * One value of JSON is judged by the rules of its field and written as protobuf, straight from the
 * bytes as posted. The first broken rule ends the work with a verdict.
 */
#include "contract/private.h"

#include <inttypes.h>

enum { SHORT_TEXT_MAX = 64 }; /* of a time, or of a number that is spelled with escapes */

/* ---- room in the record ---- */

/* Room for bytes at the end, which settle then gives back or keeps. */
static uint8_t *
reserve(struct mr_check *check, size_t bytes)
{
    struct mr_buf *to = check->record;
    if (!to->failed && bytes < to->capacity - to->size)
        return (uint8_t *)to->data + to->size;
    uint8_t *room = mr_buf_extend(to, bytes);
    if (room == NULL)
        (void)mr_refuse(check, MR_DEAD(TOO_LARGE), "size",
                        "makes the record larger than %zu bytes: send less", to->max);
    return room;
}

static void
settle(struct mr_check *check, uint8_t *end)
{
    check->record->size = (size_t)((char *)end - check->record->data);
    *end = '\0';
}

/* Elements of a packed list stand behind the tag of the whole list. */
static uint8_t *
put_tag(uint8_t *to, const struct mr_plan_field *field)
{
    memcpy(to, field->tag, MR_TAG_MAX);
    return to + (mr_plan_packed(field) ? 0 : field->tag_size);
}

/* ---- text ---- */

static uint64_t
count_characters(struct mr_slice text)
{
    const char *at = text.data;
    uint64_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)at[i] & 0xc0) != 0x80;
    return count;
}

static bool
matches(const struct mr_plan_field *field, struct mr_slice text)
{
    regmatch_t range = { .rm_so = 0, .rm_eo = (regoff_t)text.size };
    return regexec(&field->regex, text.data, 1, &range, REG_STARTEND) == 0;
}

static bool
judge_text(struct mr_check *check, const struct mr_plan_field *field, struct mr_slice text)
{
    if (field->length_max != 0 && text.size > field->length_max &&
        count_characters(text) > field->length_max)
        return mr_refuse(check, MR_DEAD(TOO_LONG), "max_length",
                         "has %" PRIu64 " characters: %u are the most, shorten it",
                         count_characters(text), field->length_max);
    if (field->pattern != NULL && !matches(field, text))
        return mr_refuse(check, MR_DEAD(BAD_PATTERN), "pattern", "must look like %s",
                         field->pattern);
    if (!field->is_key)
        return true;
    if (text.size == 0)
        return mr_refuse(check, MR_DEAD(MISSING_FIELD), "required",
                         "is the key and may not be empty: send it");
    mr_buf_put(check->key_text, text.data, text.size);
    if (check->key_text->failed)
        return mr_refuse(check, MR_DEAD(TOO_LARGE), "size",
                         "is the key and longer than %zu bytes: shorten it", check->key_text->max);
    return true;
}

bool
mr_put_text(struct mr_check *check, const struct mr_plan_field *field,
            const struct mr_json_text *text)
{
    uint8_t *to = reserve(check, MR_TAG_MAX + MR_VARINT_MAX + text->raw.size);
    if (to == NULL)
        return false;
    to = put_tag(to, field);
    size_t size = text->raw.size;
    uint8_t *body = to + mr_wire_varint_size(size);
    if (!text->escaped)
        memcpy(body, text->raw.data, size);
    else
        size = mr_json_unescape(text, (char *)body);
    uint8_t *start = mr_wire_varint(to, size);
    if (start != body) /* so many escapes that the length in front became shorter */
        memmove(start, body, size);
    settle(check, start + size);
    return judge_text(check, field, mr_slice(start, size));
}

static bool
put_binary(struct mr_check *check, const struct mr_plan_field *field,
           const struct mr_json_text *text)
{
    MR_CLEANUP(mr_freep) char *plain = mr_alloc(text->raw.size);
    struct mr_slice base64 = mr_slice(plain, mr_json_unescape(text, plain));
    MR_CLEANUP(mr_freep) char *bytes = mr_alloc(base64.size + 3);
    int64_t size = mr_base64_decode(base64, bytes);
    if (size < 0)
        return mr_refuse(check, MR_DEAD(WRONG_TYPE), "type",
                         "holds bytes: send them as base64 with padding");
    uint8_t *to = reserve(check, MR_TAG_MAX + MR_VARINT_MAX + (size_t)size);
    if (to == NULL)
        return false;
    to = mr_wire_varint(put_tag(to, field), (uint64_t)size);
    memcpy(to, bytes, (size_t)size);
    settle(check, to + size);
    return true;
}

static bool
put_time(struct mr_check *check, const struct mr_plan_field *field, const struct mr_json_text *text)
{
    char plain[SHORT_TEXT_MAX];
    int64_t us;
    if (text->raw.size >= sizeof(plain) ||
        !mr_time_parse(mr_slice(plain, mr_json_unescape(text, plain)), &us))
        return mr_refuse(check, MR_DEAD(BAD_TIME), "time",
                         "is no time that exists: send 2017-10-19 15:13:42 (UTC, or with a zone)");
    uint8_t *to = reserve(check, MR_TAG_MAX + MR_VARINT_MAX);
    if (to == NULL)
        return false;
    settle(check, mr_wire_varint(put_tag(to, field), (uint64_t)us));
    if (field->is_key)
        mr_buf_printf(check->key_text, "%" PRId64, us);
    return true;
}

/* ---- numbers ---- */

/* The value at hand has the wrong type: it is crossed, so that the verdict can show it. */
static bool
refuse_type(struct mr_check *check, const char *wanted)
{
    if (check->in.at == check->from && !mr_json_skip(&check->in))
        return false;
    return mr_refuse(check, MR_DEAD(WRONG_TYPE), "type", "must be %s", wanted);
}

static bool
is_number_start(unsigned char c)
{
    return c == '-' || (c >= '0' && c <= '9');
}

/* Is the text, as a whole, spelled as a number? */
static bool
read_number_text(const struct mr_json_text *text, char plain[SHORT_TEXT_MAX],
                 struct mr_json_number *ret)
{
    struct mr_slice spelled = text->raw;
    if (text->escaped) {
        if (text->raw.size >= SHORT_TEXT_MAX)
            return false;
        spelled.size = mr_json_unescape(text, plain);
        spelled.data = plain;
        plain[spelled.size] = '\0';
    }
    struct mr_json in = { .at = spelled.data, .end = (const char *)spelled.data + spelled.size };
    return spelled.size > 0 && is_number_start((unsigned char)*in.at) && mr_json_number(&in, ret) &&
           in.at == in.end;
}

/* plain outlives the number: its text may point there. */
static bool
read_number(struct mr_check *check, const struct mr_plan_field *field, char plain[SHORT_TEXT_MAX],
            struct mr_json_number *ret)
{
    struct mr_json_text text;
    unsigned char c = mr_json_peek(&check->in);
    if (is_number_start(c))
        /* What follows a number ends it for strtod too, so something must. */
        return mr_json_number(&check->in, ret) &&
               (check->in.at < check->in.end ||
                mr_json_fault(&check->in, MR_DEAD(NOT_JSON), "the object is not closed"));
    const char *wanted =
        field->column->type == MR_TYPE_DOUBLE ? "a number such as 7.5" : "a whole number such as 7";
    if (c != '"' || !field->number_or_text)
        return refuse_type(check, wanted);
    if (!mr_json_string(&check->in, &text))
        return false;
    return read_number_text(&text, plain, ret) || refuse_type(check, wanted);
}

static bool
judge_number(struct mr_check *check, const struct mr_plan_field *field, double value)
{
    if (field->has_min && value < field->min)
        return mr_refuse(check, MR_DEAD(OUT_OF_RANGE), "min", "must be at least %.15g", field->min);
    if (field->has_max && value > field->max)
        return mr_refuse(check, MR_DEAD(OUT_OF_RANGE), "max", "must be at most %.15g", field->max);
    return true;
}

static void
put_key_number(struct mr_check *check, const struct mr_json_number *number, int64_t value)
{
    if (number->is_plain && value != 0)
        mr_buf_put(check->key_text, number->text.data, number->text.size);
    else
        mr_buf_printf(check->key_text, "%" PRId64, value);
}

static bool
put_int(struct mr_check *check, const struct mr_plan_field *field)
{
    struct mr_json_number number;
    char plain[SHORT_TEXT_MAX];
    int64_t value = 0;
    if (!read_number(check, field, plain, &number))
        return false;
    enum mr_fit fit = mr_number_int(&number, &value);
    if (fit == MR_NOT_WHOLE)
        return refuse_type(check, "a whole number such as 7");
    bool is_narrow = field->column->type == MR_TYPE_INTEGER;
    if (fit == MR_TOO_BIG || (is_narrow && (value < INT32_MIN || value > INT32_MAX)))
        return mr_refuse(check, MR_DEAD(OUT_OF_RANGE), "type", "does not fit into %d bits",
                         is_narrow ? 32 : 64);
    if (!judge_number(check, field, (double)value))
        return false;
    uint8_t *to = reserve(check, MR_TAG_MAX + MR_VARINT_MAX);
    if (to == NULL)
        return false;
    settle(check, mr_wire_varint(put_tag(to, field), (uint64_t)value));
    if (field->is_key)
        put_key_number(check, &number, value);
    return true;
}

static bool
put_double(struct mr_check *check, const struct mr_plan_field *field)
{
    struct mr_json_number number;
    char plain[SHORT_TEXT_MAX];
    double value;
    if (!read_number(check, field, plain, &number))
        return false;
    if (mr_number_double(&number, &value) != MR_FITS)
        return mr_refuse(check, MR_DEAD(OUT_OF_RANGE), "type", "is too large for a double");
    if (!judge_number(check, field, value))
        return false;
    uint8_t *to = reserve(check, MR_TAG_MAX + sizeof(value));
    if (to == NULL)
        return false;
    to = put_tag(to, field);
    memcpy(to, &value, sizeof(value)); /* both little endian, see row.c */
    settle(check, to + sizeof(value));
    return true;
}

/* ---- values ---- */

static bool
put_bool(struct mr_check *check, const struct mr_plan_field *field)
{
    unsigned char c = mr_json_peek(&check->in);
    if (c != 't' && c != 'f')
        return refuse_type(check, "true or false");
    if (!mr_json_skip(&check->in))
        return false;
    uint8_t *to = reserve(check, MR_TAG_MAX + 1);
    if (to == NULL)
        return false;
    to = put_tag(to, field);
    *to++ = c == 't';
    settle(check, to);
    return true;
}

/* Text is mostly plain up to its quote: then nothing needs to be taken apart. */
static bool
read_text(struct mr_json *in, struct mr_json_text *ret)
{
    const char *start = in->at + 1, *end = mr_json_plain(start, in->end);
    if (end == in->end || *end != '"')
        return mr_json_string(in, ret);
    *ret = (struct mr_json_text){ .raw = mr_slice(start, (size_t)(end - start)) };
    in->at = end + 1;
    return true;
}

static bool
put_string_like(struct mr_check *check, const struct mr_plan_field *field)
{
    enum mr_type type = field->column->type;
    unsigned char c = mr_json_peek(&check->in);
    struct mr_json_text text;
    struct mr_json_number number;
    if (c == '"') {
        if (!read_text(&check->in, &text))
            return false;
        if (type == MR_TYPE_STRING)
            return mr_put_text(check, field, &text);
        return type == MR_TYPE_TIMESTAMP ? put_time(check, field, &text)
                                         : put_binary(check, field, &text);
    }
    if (!is_number_start(c) || !field->number_or_text)
        return refuse_type(check, type == MR_TYPE_TIMESTAMP
                                      ? "a time in quotes: \"2017-10-19 15:13:42\""
                                      : "text in double quotes");
    if (!mr_json_number(&check->in, &number))
        return false;
    text = (struct mr_json_text){ .raw = number.text };
    return mr_put_text(check, field, &text);
}

static bool
put_one(struct mr_check *check, const struct mr_plan_field *field)
{
    (void)mr_json_peek(&check->in);
    check->from = check->in.at;
    switch (field->column->type) {
    case MR_TYPE_BOOL:
        return put_bool(check, field);
    case MR_TYPE_INTEGER:
    case MR_TYPE_LONG:
        return put_int(check, field);
    case MR_TYPE_DOUBLE:
        return put_double(check, field);
    default:
        return put_string_like(check, field);
    }
}

/* Puts tag and length in front of the elements, which begin at start of the record. */
static bool
pack(struct mr_check *check, const struct mr_plan_field *field, size_t start)
{
    size_t size = check->record->size - start;
    if (size == 0)
        return true;
    uint8_t *room = reserve(check, MR_TAG_MAX + MR_VARINT_MAX);
    if (room == NULL)
        return false;
    uint8_t *list = (uint8_t *)check->record->data + start;
    uint8_t *body = list + field->tag_size + mr_wire_varint_size(size);
    memmove(body, list, size);
    memcpy(list, field->tag, field->tag_size);
    (void)mr_wire_varint(list + field->tag_size, size);
    settle(check, body + size);
    return true;
}

static bool
put_list(struct mr_check *check, const struct mr_plan_field *field)
{
    struct mr_json *in = &check->in;
    size_t start = check->record->size;
    in->at++;
    in->depth++;
    unsigned char c = mr_json_peek(in) == ']' ? ']' : ',';
    if (c == ']')
        in->at++;
    for (check->element = 0; c == ','; check->element++) {
        if (!put_one(check, field))
            return false;
        c = mr_json_peek(in);
        if (c != ',' && c != ']')
            return mr_json_fault(in, MR_DEAD(NOT_JSON), "a comma or ] must follow the value");
        in->at++;
    }
    check->element = -1;
    in->depth--;
    return !mr_plan_packed(field) || pack(check, field, start);
}

bool
mr_put_value(struct mr_check *check, const struct mr_plan_field *field)
{
    if (!field->column->is_list)
        return put_one(check, field);
    unsigned char c = mr_json_peek(&check->in);
    check->from = check->in.at;
    return c == '[' ? put_list(check, field) : refuse_type(check, "a list in [ and ]");
}
