/*
 * How a verdict is worded. What people post may be anything: all that is shown is valid UTF-8
 * without controls and within its bound.
 */
#include "contract/private.h"

#include <stdarg.h>
#include <stdio.h>

enum { ELEMENT_TEXT_MAX = 22 }; /* [ 20 digits ] */

/* Cuts valid UTF-8 at most bytes, not inside a character. */
static size_t
cut(const char *text, size_t size, size_t most)
{
    if (size <= most)
        return size;
    while (most > 0 && ((unsigned char)text[most] & 0xc0) == 0x80)
        most--;
    return most;
}

/* Length of the character that begins at from; 0: it cannot be shown. */
static size_t
character(const char *from, size_t left)
{
    size_t length = 1;
    if ((unsigned char)*from < ' ' || *from == 0x7f)
        return 0;
    while (length < 4 && length < left && ((unsigned char)from[length] & 0xc0) == 0x80)
        length++;
    return mr_utf8_valid(mr_slice(from, length)) ? length : 0;
}

void
mr_verdict_show(struct mr_verdict *verdict, struct mr_slice bytes)
{
    const char *from = bytes.data;
    size_t size = bytes.size;
    char *to = verdict->value;
    for (size_t i = 0; i < size && i < MR_VERDICT_VALUE_MAX;) {
        size_t length = character(from + i, size - i);
        if (i + length > MR_VERDICT_VALUE_MAX)
            break;
        if (length > 0)
            memcpy(to, from + i, length);
        else
            (void)snprintf(to, 5, "\\x%02x", (unsigned char)from[i]);
        to += length > 0 ? length : 4;
        i += length > 0 ? length : 1;
    }
    *to = '\0';
}

void
mr_verdict_say(struct mr_verdict *verdict, const char *reason)
{
    size_t kept = cut(reason, strlen(reason), sizeof(verdict->reason) - 1);
    memcpy(verdict->reason, reason, kept);
    verdict->reason[kept] = '\0';
}

static void
set_field(struct mr_check *check)
{
    char *field = check->verdict->field;
    size_t room = MR_VERDICT_FIELD_MAX - (check->element >= 0 ? ELEMENT_TEXT_MAX : 0);
    size_t size = cut(check->name.data, check->name.size, room);
    if (size > 0)
        memcpy(field, check->name.data, size);
    field[size] = '\0';
    if (check->element >= 0)
        (void)snprintf(field + size, MR_VERDICT_FIELD_MAX + 1 - size, "[%lld]",
                       (long long)check->element);
}

static void
set_rule(struct mr_verdict *verdict, int code, const char *rule)
{
    verdict->code = code;
    (void)snprintf(verdict->rule, sizeof(verdict->rule), "%s", rule);
}

/* "field text", cut to fit. */
__attribute__((format(printf, 2, 0))) static void
set_reason(struct mr_verdict *verdict, const char *format, va_list arguments)
{
    char text[sizeof(verdict->reason) + MR_VERDICT_FIELD_MAX + 1];
    int size = verdict->field[0] != '\0' ? snprintf(text, sizeof(text), "%s ", verdict->field) : 0;
    size += vsnprintf(text + size, sizeof(text) - (size_t)size, format, arguments);
    mr_verdict_say(verdict, text);
}

bool
mr_refuse(struct mr_check *check, int code, const char *rule, const char *format, ...)
{
    va_list arguments;
    set_rule(check->verdict, code, rule);
    set_field(check);
    mr_verdict_show(check->verdict, mr_slice(check->from, (size_t)(check->in.at - check->from)));
    va_start(arguments, format);
    set_reason(check->verdict, format, arguments);
    va_end(arguments);
    return false;
}

bool
mr_refuse_whole(struct mr_check *check, int code, const char *format, ...)
{
    va_list arguments;
    set_rule(check->verdict, code, "event");
    check->verdict->field[0] = '\0';
    mr_verdict_show(check->verdict, mr_slice(check->from, (size_t)(check->in.end - check->from)));
    va_start(arguments, format);
    set_reason(check->verdict, format, arguments);
    va_end(arguments);
    return false;
}

bool
mr_refuse_syntax(struct mr_check *check, const struct mr_json *in, const char *start)
{
    MR_ASSERT(in->code != 0);
    const char *rule = in->code == MR_DEAD(NOT_UTF8)   ? "utf8"
                       : in->code == MR_DEAD(BAD_TEXT) ? "text"
                       : in->code == MR_DEAD(TOO_DEEP) ? "depth"
                                                       : "json";
    set_rule(check->verdict, in->code, rule);
    check->verdict->field[0] = '\0';
    mr_verdict_show(check->verdict, mr_slice(in->at, (size_t)(in->end - in->at)));
    (void)snprintf(check->verdict->reason, sizeof(check->verdict->reason), "byte %zu: %s",
                   (size_t)(in->at - start), in->what);
    return false;
}
