/*
 * Checks JSON without building anything: the archive must not judge what a value means, only
 * whether a reader of lines can read it.
 */
#include "line.h"

struct scan {
    const char *at, *end;
};

static bool
take(struct scan *scan, char c)
{
    bool is = scan->at < scan->end && *scan->at == c;
    scan->at += is;
    return is;
}

static void
skip_blanks(struct scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
        scan->at++;
}

static bool
is_digit(const struct scan *scan)
{
    return scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9';
}

static bool
digits(struct scan *scan)
{
    bool any = is_digit(scan);
    while (is_digit(scan))
        scan->at++;
    return any;
}

static bool
number(struct scan *scan)
{
    (void)take(scan, '-');
    if (!take(scan, '0') && !digits(scan))
        return false;
    if (take(scan, '.') && !digits(scan))
        return false;
    if (take(scan, 'e') || take(scan, 'E')) {
        if (!take(scan, '+'))
            (void)take(scan, '-');
        return digits(scan);
    }
    return true;
}

static bool
escape(struct scan *scan)
{
    if (take(scan, 'u')) {
        for (int i = 0; i < 4; i++, scan->at++) {
            char c = scan->at < scan->end ? *scan->at : '\0';
            if (c == '\0' || strchr("0123456789abcdefABCDEF", c) == NULL)
                return false;
        }
        return true;
    }
    char c = scan->at < scan->end ? *scan->at++ : '\0';
    return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
}

static bool
string(struct scan *scan)
{
    if (!take(scan, '"'))
        return false;
    while (scan->at < scan->end) {
        unsigned char c = (unsigned char)*scan->at++;
        if (c == '"')
            return true;
        if (c < 0x20 || (c == '\\' && !escape(scan)))
            return false;
    }
    return false;
}

static bool
word(struct scan *scan, struct mr_slice text)
{
    if ((size_t)(scan->end - scan->at) < text.size || memcmp(scan->at, text.data, text.size) != 0)
        return false;
    scan->at += text.size;
    return true;
}

static bool
scalar(struct scan *scan)
{
    char c = scan->at < scan->end ? *scan->at : '\0';
    if (c == '"')
        return string(scan);
    if (c == '-' || is_digit(scan))
        return number(scan);
    return word(scan, MR_SLICE("true")) || word(scan, MR_SLICE("false")) ||
           word(scan, MR_SLICE("null"));
}

static bool
key(struct scan *scan)
{
    skip_blanks(scan);
    if (!string(scan))
        return false;
    skip_blanks(scan);
    return take(scan, ':');
}

bool
line_is_json(struct mr_slice text)
{
    struct scan scan = { text.data, (const char *)text.data + text.size };
    char closers[LINE_DEPTH_MAX];
    size_t depth = 0;
    if (text.size == 0 || !mr_utf8_valid(text))
        return false;
    for (;;) {
        skip_blanks(&scan);
        bool is_object = take(&scan, '{'), opens = is_object || take(&scan, '[');
        if (opens) {
            if (depth == LINE_DEPTH_MAX)
                return false;
            closers[depth++] = is_object ? '}' : ']';
            skip_blanks(&scan);
            bool is_empty = scan.at < scan.end && *scan.at == closers[depth - 1];
            if (!is_empty && is_object && !key(&scan))
                return false;
            if (!is_empty)
                continue;
        } else if (!scalar(&scan)) {
            return false;
        }
        for (skip_blanks(&scan); depth > 0 && take(&scan, closers[depth - 1]); skip_blanks(&scan))
            depth--;
        if (depth == 0)
            return scan.at == scan.end;
        if (!take(&scan, ',') || (closers[depth - 1] == '}' && !key(&scan)))
            return false;
    }
}

void
line_put(struct mr_buf *lines, struct mr_slice value)
{
    if (value.data == NULL) {
        mr_buf_text(lines, "{\"millrace_null\":true}\n");
    } else if (line_is_json(value)) {
        char *copy = mr_buf_extend(lines, value.size);
        if (copy == NULL)
            return;
        memcpy(copy, value.data, value.size);
        /* Inside strings a line break cannot stand, so each one found is a blank. */
        for (char *c = copy; c < copy + value.size; c++)
            if (*c == '\n' || *c == '\r')
                *c = ' ';
        mr_buf_text(lines, "\n");
    } else {
        mr_buf_text(lines, "{\"millrace_base64\":\"");
        mr_base64_encode(value, lines);
        mr_buf_text(lines, "\"}\n");
    }
}
