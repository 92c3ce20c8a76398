/*
 * The request target. Paths come out decoded once and in one spelling; whatever could be read in
 * two ways by two programs (dot segments, encoded slashes, NUL, backslashes) is refused.
 */
#include "http/private.h"

#include <ctype.h>
#include <strings.h>

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that %XX at text stands for, or -1. */
static int
decode(const char *text, size_t size)
{
    if (size < 3 || hex_digit(text[1]) < 0 || hex_digit(text[2]) < 0)
        return -1;
    return hex_digit(text[1]) * 16 + hex_digit(text[2]);
}

/* A character of RFC 3986 that may stand in a path or query as it is. */
static bool
is_plain(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("-._~!$&'()*+,;=:@/?", c) != NULL);
}

static bool
characters_ok(struct mr_slice text)
{
    const char *at = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if (at[i] == '%') {
            if (decode(at + i, text.size - i) < 0)
                return false;
            i += 2;
        } else if (!is_plain(at[i])) {
            return false;
        }
    }
    return true;
}

/* "." and ".." between slashes. */
static bool
has_dot_segment(const char *path, size_t size)
{
    size_t start = 0;
    for (size_t i = 0; i <= size; i++) {
        if (i < size && path[i] != '/')
            continue;
        size_t length = i - start;
        if ((length == 1 && path[start] == '.') ||
            (length == 2 && path[start] == '.' && path[start + 1] == '.'))
            return true;
        start = i + 1;
    }
    return false;
}

static bool
decode_path(struct mr_http_request *request, struct mr_slice raw)
{
    const char *text = raw.data;
    char *path = mr_arena_alloc(&request->arena, raw.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < raw.size; i++) {
        int c = (unsigned char)text[i];
        if (c == '%') {
            c = decode(text + i, raw.size - i);
            if (c < 0x20 || c == 0x7f || c == '/' || c == '\\')
                return false;
            i += 2;
        } else if (c == '/' && size > 0 && path[size - 1] == '/') {
            continue;
        }
        path[size++] = (char)c;
    }
    path[size] = '\0';
    request->parsed.path = mr_slice(path, size);
    return mr_utf8_valid(request->parsed.path) && !has_dot_segment(path, size);
}

/* http://authority/path: leaves the path; the authority must be the Host that was sent. */
static bool
strip_authority(struct mr_slice *target, struct mr_slice host)
{
    const char *text = target->data;
    size_t skip = strlen("http://");
    if (target->size < skip || strncasecmp(text, "http://", skip) != 0)
        return false;
    const char *path = memchr(text + skip, '/', target->size - skip);
    if (path == NULL)
        return false;
    size_t size = (size_t)(path - text) - skip;
    if (size == 0 || size != host.size || strncasecmp(text + skip, host.data, size) != 0)
        return false;
    *target = mr_slice(path, target->size - (size_t)(path - text));
    return true;
}

bool
target_parse(struct mr_http_request *request, struct mr_slice host)
{
    struct mr_slice target = request->parsed.target;
    MR_ASSERT(target.size > 0);
    if (((const char *)target.data)[0] != '/' && !strip_authority(&target, host))
        return false;
    if (!characters_ok(target))
        return false;
    const char *text = target.data;
    const char *mark = memchr(text, '?', target.size);
    size_t size = mark != NULL ? (size_t)(mark - text) : target.size;
    if (mark != NULL)
        request->parsed.query = mr_slice(mark + 1, target.size - size - 1);
    return decode_path(request, mr_slice(text, size));
}

/* Decodes a part of the query into the request's memory; '+' is a blank. */
static struct mr_slice
decode_param(struct mr_http_request *request, const char *text, size_t size)
{
    char *value = mr_arena_alloc(&request->arena, size + 1);
    size_t length = 0;
    for (size_t i = 0; i < size; i++) {
        int c = text[i] == '+' ? ' ' : (unsigned char)text[i];
        if (c == '%') {
            c = decode(text + i, size - i);
            i += 2;
        }
        value[length++] = (char)c;
    }
    value[length] = '\0';
    return mr_slice(value, length);
}

struct mr_slice
mr_http_param(struct mr_http_request *request, const char *name)
{
    MR_ASSERT(request != NULL);
    MR_ASSERT(name != NULL);
    const char *at = request->parsed.query.data;
    const char *end = at != NULL ? at + request->parsed.query.size : NULL;
    while (at < end) {
        const char *next = memchr(at, '&', (size_t)(end - at));
        if (next == NULL)
            next = end;
        const char *equals = memchr(at, '=', (size_t)(next - at));
        const char *key_end = equals != NULL ? equals : next;
        struct mr_slice key = decode_param(request, at, (size_t)(key_end - at));
        if (mr_slice_is_text(key, name)) {
            const char *value = equals != NULL ? equals + 1 : next;
            return decode_param(request, value, (size_t)(next - value));
        }
        at = next + 1;
    }
    return mr_slice(NULL, 0);
}
