/*
 * One pass, no tree, no copies. Strings are skipped by looking for the closing quote with memchr
 * and counting the backslashes before it, so a record costs about a tenth of what a parser does.
 */
#include "gateway/scan.h"

enum class { OTHER, QUOTE, OPEN, CLOSE };

static const unsigned char classes[256] = {
    ['"'] = QUOTE, ['{'] = OPEN, ['['] = OPEN, ['}'] = CLOSE, [']'] = CLOSE,
};

static bool
fail(struct scan *scan, const char *fault)
{
    if (scan->fault == NULL)
        scan->fault = fault;
    return false;
}

static void
skip_blanks(struct scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

void
scan_init(struct scan *scan, struct mr_slice text)
{
    MR_ASSERT(scan != NULL);
    const char *start = text.data != NULL ? text.data : "";
    *scan = (struct scan){ .start = start, .at = start, .end = start + text.size };
}

char
scan_peek(struct scan *scan)
{
    skip_blanks(scan);
    return scan->at < scan->end ? *scan->at : '\0';
}

bool
scan_enter(struct scan *scan, char bracket)
{
    MR_ASSERT(bracket == '{' || bracket == '[');
    if (scan->fault != NULL)
        return false;
    if (scan_peek(scan) != bracket)
        return fail(scan, bracket == '{' ? "an object is expected" : "a list is expected");
    scan->at++;
    scan->is_first = true;
    return true;
}

/* Behind the closing quote of a string whose opening quote stands at `at`. */
static const char *
string_end(const char *at, const char *end)
{
    for (const char *from = at + 1; from < end;) {
        const char *quote = memchr(from, '"', (size_t)(end - from));
        if (quote == NULL)
            return NULL;
        const char *run = quote;
        while (run > from && run[-1] == '\\')
            run--;
        if ((quote - run) % 2 == 0)
            return quote + 1;
        from = quote + 1;
    }
    return NULL;
}

/* Takes ',' between members, or the closing bracket: true when a member follows. */
static bool
next_member(struct scan *scan, char closing)
{
    if (scan->fault != NULL)
        return false;
    char c = scan_peek(scan);
    if (c == closing) {
        scan->at++;
        scan->is_first = false;
        return false;
    }
    if (scan->is_first) {
        scan->is_first = false;
        return true;
    }
    if (c != ',')
        return fail(scan, closing == '}' ? "',' or '}' is expected" : "',' or ']' is expected");
    scan->at++;
    return scan_peek(scan) != closing || fail(scan, "there is a ',' too many");
}

bool
scan_key(struct scan *scan, struct mr_slice *ret_key)
{
    if (!next_member(scan, '}'))
        return false;
    if (scan_peek(scan) != '"')
        return fail(scan, "a field name is expected");
    const char *behind = string_end(scan->at, scan->end);
    if (behind == NULL)
        return fail(scan, "a string does not end");
    *ret_key = mr_slice(scan->at + 1, (size_t)(behind - scan->at) - 2);
    scan->at = behind;
    if (scan_peek(scan) != ':')
        return fail(scan, "':' is expected");
    scan->at++;
    return true;
}

bool
scan_item(struct scan *scan)
{
    return next_member(scan, ']');
}

/* From an opening bracket to behind the one that closes it. */
static bool
skip_container(struct scan *scan)
{
    char closing[SCAN_DEPTH_MAX];
    size_t depth = 0;
    const char *at = scan->at, *end = scan->end;
    while (at < end) {
        switch (classes[(unsigned char)*at]) {
        case QUOTE:
            at = string_end(at, end);
            if (at == NULL)
                return fail(scan, "a string does not end");
            continue;
        case OPEN:
            if (depth == SCAN_DEPTH_MAX)
                return fail(scan, "it is nested too deep");
            closing[depth++] = *at == '{' ? '}' : ']';
            break;
        case CLOSE:
            if (closing[--depth] != *at) {
                scan->at = at;
                return fail(scan, "the brackets do not match");
            }
            if (depth == 0) {
                scan->at = at + 1;
                return true;
            }
            break;
        default:
            break;
        }
        at++;
    }
    return fail(scan, "a bracket is not closed");
}

static bool
is_digit(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

/* Behind a number by the grammar of JSON, or NULL. */
static const char *
number_end(const char *at, const char *end)
{
    if (at < end && *at == '-')
        at++;
    if (!is_digit(at, end))
        return NULL;
    bool leading_zero = *at == '0';
    at++;
    while (!leading_zero && is_digit(at, end))
        at++;
    if (at < end && *at == '.') {
        at++;
        if (!is_digit(at, end))
            return NULL;
        while (is_digit(at, end))
            at++;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        if (!is_digit(at, end))
            return NULL;
        while (is_digit(at, end))
            at++;
    }
    return at;
}

static const char *
word_end(const char *at, const char *end)
{
    static const char *const words[] = { "true", "false", "null" };
    for (size_t i = 0; i < MR_COUNT(words); i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(end - at) >= length && memcmp(at, words[i], length) == 0)
            return at + length;
    }
    return NULL;
}

bool
scan_value(struct scan *scan, struct mr_slice *ret)
{
    if (scan->fault != NULL)
        return false;
    char c = scan_peek(scan);
    const char *from = scan->at, *behind = NULL;
    scan->is_first = false;
    if (c == '{' || c == '[') {
        if (!skip_container(scan))
            return false;
        behind = scan->at;
    } else if (c == '"') {
        behind = string_end(from, scan->end);
        if (behind == NULL)
            return fail(scan, "a string does not end");
    } else {
        behind = c == '-' || is_digit(from, scan->end) ? number_end(from, scan->end)
                                                       : word_end(from, scan->end);
        if (behind == NULL)
            return fail(scan, "a value is expected");
    }
    scan->at = behind;
    *ret = mr_slice(from, (size_t)(behind - from));
    return true;
}

bool
scan_end(struct scan *scan)
{
    skip_blanks(scan);
    if (scan->fault == NULL && scan->at < scan->end)
        return fail(scan, "something stands behind the end");
    return scan->fault == NULL;
}

bool
scan_is_json(struct mr_slice text)
{
    struct scan scan;
    struct mr_slice value;
    scan_init(&scan, text);
    return scan_value(&scan, &value) && scan_end(&scan);
}

/* ---- unescape ---- */

/* Four hex digits, or -1. */
static int
hex4(const char *at, const char *end)
{
    int value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i], lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value * 16 + (lower - 'a') + 10;
        else
            return -1;
    }
    return value;
}

static char *
put_utf8(char *to, unsigned code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

/* \uXXXX behind its u, with the second half of a pair; moves *at. */
static int
take_unicode(const char **at, const char *end)
{
    int code = hex4(*at, end);
    if (code < 0)
        return -1;
    *at += 4;
    bool is_high = code >= 0xd800 && code < 0xdc00;
    if (!is_high || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
        return code;
    int low = hex4(*at + 2, end);
    if (low < 0xdc00 || low > 0xdfff)
        return code;
    *at += 6;
    return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

bool
scan_unescape(struct mr_slice string, struct mr_arena *arena, struct mr_slice *ret)
{
    static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    MR_ASSERT(string.size >= 2);
    const char *at = (const char *)string.data + 1, *end = at + string.size - 2;
    if (memchr(at, '\\', string.size - 2) == NULL) {
        *ret = mr_slice(at, string.size - 2);
        return true;
    }
    char *text = mr_arena_alloc(arena, string.size), *to = text;
    while (at < end) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        MR_ASSERT(at + 1 < end); /* the scanner took a backslash with what follows */
        at += 2;
        if (at[-1] == 'u') {
            int code = take_unicode(&at, end);
            if (code < 0)
                return false;
            to = put_utf8(to, (unsigned)code);
            continue;
        }
        const char *name = strchr(names, at[-1]);
        if (name == NULL || *name == '\0')
            return false;
        *to++ = bytes[name - names];
    }
    *ret = mr_slice(text, (size_t)(to - text));
    return true;
}
