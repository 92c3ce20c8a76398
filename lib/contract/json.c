/*
 * The lexical side of JSON: strict RFC 8259, one pass, no tree, no recursion (64 open containers
 * are 64 bits). Plain runs of strings are crossed 16 or 8 bytes at a time; everything else is rare
 * enough to go byte by byte.
 */
#include "contract/private.h"

bool
mr_json_fault(struct mr_json *in, int code, const char *what)
{
    MR_ASSERT(code != 0);
    in->code = code;
    in->what = what;
    return false;
}

/* ---- strings ---- */

/* Four hexadecimal digits; -1: they are not there. */
static int
hex4(const char *at, const char *end)
{
    int value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static bool
is_high(int unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool
is_low(int unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

static bool
cross_unicode(struct mr_json *in)
{
    int unit = hex4(in->at + 2, in->end);
    if (unit < 0)
        return mr_json_fault(in, MR_DEAD(NOT_JSON), "\\u must be followed by four hex digits");
    if (unit == 0)
        return mr_json_fault(in, MR_DEAD(BAD_TEXT), "\\u0000 is not taken in text: leave it out");
    bool paired = is_high(unit) && in->end - in->at >= 12 && in->at[6] == '\\' &&
                  in->at[7] == 'u' && is_low(hex4(in->at + 8, in->end));
    if (is_low(unit) || (is_high(unit) && !paired))
        return mr_json_fault(in, MR_DEAD(BAD_TEXT),
                             "half of a surrogate pair stands alone: send the character as UTF-8");
    in->at += paired ? 12 : 6;
    return true;
}

static bool
cross_escape(struct mr_json *in)
{
    char c = in->end - in->at >= 2 ? in->at[1] : '\0';
    if (c == 'u')
        return cross_unicode(in);
    if (c == '\0' || strchr("\"\\/bfnrt", c) == NULL)
        return mr_json_fault(in, MR_DEAD(NOT_JSON), "a backslash must be doubled in JSON text");
    in->at += 2;
    return true;
}

static bool
cross_utf8(struct mr_json *in)
{
    const char *from = in->at;
    while (in->at < in->end && (signed char)*in->at < 0)
        in->at++;
    if (mr_utf8_valid(mr_slice(from, (size_t)(in->at - from))))
        return true;
    in->at = from;
    return mr_json_fault(in, MR_DEAD(NOT_UTF8), "text is not valid UTF-8: encode it as UTF-8");
}

bool
mr_json_string(struct mr_json *in, struct mr_json_text *ret)
{
    MR_ASSERT(in->at < in->end && *in->at == '"');
    const char *start = ++in->at;
    bool escaped = false;
    for (;;) {
        in->at = mr_json_plain(in->at, in->end);
        if (in->at == in->end)
            return mr_json_fault(in, MR_DEAD(NOT_JSON), "a text has no closing quote");
        unsigned char c = (unsigned char)*in->at;
        if (c == '"')
            break;
        escaped = escaped || c == '\\';
        if (c < ' ')
            return mr_json_fault(in, MR_DEAD(NOT_JSON),
                                 "line breaks and other controls in text must be escaped (\\n)");
        if (!(c == '\\' ? cross_escape(in) : cross_utf8(in)))
            return false;
    }
    *ret = (struct mr_json_text){ mr_slice(start, (size_t)(in->at - start)), escaped };
    in->at++;
    return true;
}

static char *
put_utf8(char *to, unsigned code)
{
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *to++ = (char)(0xe0 | code >> 12);
        } else {
            *to++ = (char)(0xf0 | code >> 18);
            *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        }
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
    }
    *to++ = (char)(0x80 | (code & 0x3f));
    return to;
}

/* The escape at *at, checked before, as UTF-8. */
static char *
put_escape(char *to, const char **at, const char *end)
{
    static const char meaning[128] = {
        ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'
    };
    char c = (*at)[1];
    if (c != 'u') {
        *at += 2;
        *to++ = meaning[(unsigned char)c] != 0 ? meaning[(unsigned char)c] : c;
        return to;
    }
    int unit = hex4(*at + 2, end);
    MR_ASSERT(unit > 0);
    *at += 6;
    if (!is_high(unit))
        return put_utf8(to, (unsigned)unit);
    int low = hex4(*at + 2, end);
    MR_ASSERT(is_low(low));
    *at += 6;
    return put_utf8(to, 0x10000U + ((unsigned)(unit - 0xd800) << 10) + (unsigned)(low - 0xdc00));
}

size_t
mr_json_unescape(const struct mr_json_text *text, char *to)
{
    const char *at = text->raw.data, *end = at + text->raw.size, *begin = to;
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((escape != NULL ? escape : end) - at);
        memcpy(to, at, plain);
        to += plain;
        at += plain;
        if (escape != NULL)
            to = put_escape(to, &at, end);
    }
    return (size_t)(to - begin);
}

/* ---- values that nobody reads: their syntax is checked all the same ---- */

bool
mr_json_colon(struct mr_json *in)
{
    if (mr_json_peek(in) != ':')
        return mr_json_fault(in, MR_DEAD(NOT_JSON), "a colon must follow the name");
    in->at++;
    return true;
}

static bool
skip_name(struct mr_json *in)
{
    struct mr_json_text name;
    if (mr_json_peek(in) != '"')
        return mr_json_fault(in, MR_DEAD(NOT_JSON), "a name in double quotes must stand here");
    return mr_json_string(in, &name) && mr_json_colon(in);
}

static bool
no_value(struct mr_json *in)
{
    return mr_json_fault(in, MR_DEAD(NOT_JSON),
                         "a value must be a text, a number, true, false, null, [ or {");
}

static bool
skip_word(struct mr_json *in, const char *word, size_t size)
{
    if ((size_t)(in->end - in->at) < size || memcmp(in->at, word, size) != 0)
        return no_value(in);
    in->at += size;
    return true;
}

static bool
skip_scalar(struct mr_json *in, unsigned char first)
{
    struct mr_json_text text;
    struct mr_json_number number;
    switch (first) {
    case '"':
        return mr_json_string(in, &text);
    case 't':
        return skip_word(in, "true", 4);
    case 'f':
        return skip_word(in, "false", 5);
    case 'n':
        return skip_word(in, "null", 4);
    case '-':
        return mr_json_number(in, &number);
    default:
        return first >= '0' && first <= '9' ? mr_json_number(in, &number) : no_value(in);
    }
}

/* Open containers below where skipping began: bit 0 is the innermost, 1 = object. */
struct nesting {
    uint64_t objects;
    int depth;
};

/* Behind a value: crosses what closes, up to where the next value stands. *ret_done: no more. */
static bool
leave(struct mr_json *in, struct nesting *nesting, bool *ret_done)
{
    while (nesting->depth > 0) {
        bool is_object = (nesting->objects & 1) != 0;
        unsigned char c = mr_json_peek(in);
        if (c == ',') {
            in->at++;
            *ret_done = false;
            return !is_object || skip_name(in);
        }
        if (c != (is_object ? '}' : ']'))
            return mr_json_fault(in, MR_DEAD(NOT_JSON),
                                 is_object ? "a comma or } must follow the value"
                                           : "a comma or ] must follow the value");
        in->at++;
        nesting->objects >>= 1;
        nesting->depth--;
    }
    *ret_done = true;
    return true;
}

/* Crosses [ or {. *ret_empty: it closes at once, which leave will see. */
static bool
enter(struct mr_json *in, struct nesting *nesting, bool *ret_empty)
{
    bool is_object = *in->at == '{';
    if (in->depth + nesting->depth == MR_JSON_DEPTH_MAX)
        return mr_json_fault(in, MR_DEAD(TOO_DEEP),
                             "more than 64 lists and objects stand inside one another");
    in->at++;
    nesting->objects = nesting->objects << 1 | is_object;
    nesting->depth++;
    *ret_empty = mr_json_peek(in) == (is_object ? '}' : ']');
    return *ret_empty || !is_object || skip_name(in);
}

bool
mr_json_skip(struct mr_json *in)
{
    struct nesting nesting = { 0 };
    for (bool done = false; !done;) {
        unsigned char c = mr_json_peek(in);
        bool ended = true;
        if (c == '{' || c == '[') {
            if (!enter(in, &nesting, &ended))
                return false;
        } else if (!skip_scalar(in, c)) {
            return false;
        }
        if (ended && !leave(in, &nesting, &done))
            return false;
    }
    return true;
}

bool
mr_json_end(struct mr_json *in)
{
    if (mr_json_peek(in) == 0 && in->at == in->end)
        return true;
    return mr_json_fault(in, MR_DEAD(NOT_JSON),
                         "nothing may follow the value: send one event a record");
}
