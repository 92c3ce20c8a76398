#include "store/s3_xml.h"

#include "clock/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_MAX_BYTES = 32, ENTITY_MAX = 10 };

/* The raw text of the next element of that name from *at on; *at moves behind it. */
static bool
find_element(struct mr_slice xml, const char *name, size_t *at, struct mr_slice *ret)
{
    char open[NAME_MAX_BYTES + 4], shut[NAME_MAX_BYTES + 4];
    MR_ASSERT(strlen(name) <= NAME_MAX_BYTES);
    MR_ASSERT(*at <= xml.size);
    if (xml.size == 0)
        return false;
    size_t open_size = (size_t)snprintf(open, sizeof(open), "<%s>", name);
    size_t shut_size = (size_t)snprintf(shut, sizeof(shut), "</%s>", name);
    const char *bytes = xml.data;
    const char *begin = memmem(bytes + *at, xml.size - *at, open, open_size);
    if (begin == NULL)
        return false;
    begin += open_size;
    const char *end = memmem(begin, xml.size - (size_t)(begin - bytes), shut, shut_size);
    if (end == NULL)
        return false;
    *at = (size_t)(end - bytes) + shut_size;
    *ret = mr_slice(begin, (size_t)(end - begin));
    return true;
}

static bool
put_utf8(struct mr_buf *text, unsigned long point)
{
    char bytes[4];
    size_t size = 0;
    if (point == 0 || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
        return false;
    if (point < 0x80) {
        bytes[size++] = (char)point;
    } else if (point < 0x800) {
        bytes[size++] = (char)(0xc0 | point >> 6);
    } else if (point < 0x10000) {
        bytes[size++] = (char)(0xe0 | point >> 12);
        bytes[size++] = (char)(0x80 | (point >> 6 & 0x3f));
    } else {
        bytes[size++] = (char)(0xf0 | point >> 18);
        bytes[size++] = (char)(0x80 | (point >> 12 & 0x3f));
        bytes[size++] = (char)(0x80 | (point >> 6 & 0x3f));
    }
    if (point >= 0x80)
        bytes[size++] = (char)(0x80 | (point & 0x3f));
    mr_buf_put(text, bytes, size);
    return true;
}

/* name is what stands between '&' and ';'. */
static bool
put_entity(struct mr_buf *text, const char *name)
{
    static const struct {
        const char *name;
        char byte;
    } known[] = { { "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' } };
    for (size_t i = 0; i < MR_COUNT(known); i++)
        if (strcmp(name, known[i].name) == 0) {
            mr_buf_put(text, &known[i].byte, 1);
            return true;
        }
    if (name[0] != '#')
        return false;
    bool hex = name[1] == 'x';
    const char *digits = name + (hex ? 2 : 1);
    size_t length = strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789");
    if (length == 0 || digits[length] != '\0')
        return false;
    return put_utf8(text, strtoul(digits, NULL, hex ? 16 : 10));
}

static bool
decode_entities(struct mr_slice raw, struct mr_buf *text)
{
    const char *bytes = raw.data;
    for (size_t i = 0; i < raw.size; i++) {
        if (bytes[i] != '&') {
            mr_buf_put(text, &bytes[i], 1);
            continue;
        }
        char name[ENTITY_MAX + 1] = "";
        const char *end = memchr(bytes + i, ';', raw.size - i);
        size_t length = end != NULL ? (size_t)(end - bytes) - i - 1 : 0;
        if (length == 0 || length > ENTITY_MAX)
            return false;
        memcpy(name, bytes + i + 1, length);
        if (!put_entity(text, name))
            return false;
        i += length + 1;
    }
    return !text->failed;
}

static int
hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = memchr(digits, c | 0x20, 16);
    return found != NULL && c > ' ' ? (int)(found - digits) : -1;
}

/* In place. S3 writes a blank as '+' here and a plus as %2B. */
static bool
decode_url(struct mr_buf *text)
{
    size_t out = 0;
    for (size_t i = 0; i < text->size; i++) {
        char byte = text->data[i] == '+' ? ' ' : text->data[i];
        if (byte == '%') {
            int high = i + 2 < text->size ? hex_digit(text->data[i + 1]) : -1;
            int low = i + 2 < text->size ? hex_digit(text->data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            byte = (char)(high << 4 | low);
            i += 2;
        }
        text->data[out++] = byte;
    }
    text->size = out;
    return true;
}

void
mr_s3_element(struct mr_slice xml, const char *name, char *ret_text, size_t ret_bytes)
{
    MR_ASSERT(ret_bytes > 0);
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, ret_bytes - 1);
    struct mr_slice raw = { 0 };
    size_t at = 0;
    ret_text[0] = '\0';
    if (!find_element(xml, name, &at, &raw) || !decode_entities(raw, &text) || text.size == 0)
        return;
    memcpy(ret_text, text.data, text.size);
    ret_text[text.size] = '\0';
}

int
mr_s3_listing_open(struct mr_slice xml, struct mr_s3_listing *ret, struct mr_err *err)
{
    char truncated[8], encoding[8];
    static const char root[] = "<ListBucketResult";
    if (xml.size == 0 || memmem(xml.data, xml.size, root, sizeof(root) - 1) == NULL)
        return mr_fail(err, MR_E(CORRUPT), MR_RETRY, "the answer is no ListBucketResult");
    mr_s3_element(xml, "IsTruncated", truncated, sizeof(truncated));
    mr_s3_element(xml, "EncodingType", encoding, sizeof(encoding));
    *ret = (struct mr_s3_listing){ .xml = xml,
                                   .encoded = strcmp(encoding, "url") == 0,
                                   .truncated = strcmp(truncated, "true") == 0 };
    return 0;
}

/* 2026-01-31T23:59:59.123Z; 0 when it is something else. */
static int64_t
parse_time_ms(const char *text)
{
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, ms = 0;
    int64_t days = 0;
    int fields = sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3d", &year, &month, &day, &hour, &minute,
                        &second, &ms);
    if (fields < 6 || !mr_days_from_civil(year, month, day, &days))
        return 0;
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms;
}

int
mr_s3_listing_next(struct mr_s3_listing *listing, struct mr_object *ret, struct mr_err *err)
{
    struct mr_slice contents = { 0 }, raw = { 0 };
    if (!find_element(listing->xml, "Contents", &listing->at, &contents))
        return 0;
    MR_CLEANUP(mr_buf_fini) struct mr_buf key;
    mr_buf_init(&key, (size_t)3 * MR_STORE_KEY_MAX);
    char size[24], modified[40];
    size_t at = 0;
    bool good = find_element(contents, "Key", &at, &raw) && decode_entities(raw, &key) &&
                (!listing->encoded || decode_url(&key)) && key.size > 0 &&
                key.size <= MR_STORE_KEY_MAX && memchr(key.data, '\0', key.size) == NULL;
    mr_s3_element(contents, "Size", size, sizeof(size));
    mr_s3_element(contents, "LastModified", modified, sizeof(modified));
    char *end = size;
    errno = 0;
    long long bytes = strtoll(size, &end, 10);
    if (!good || end == size || *end != '\0' || bytes < 0 || errno != 0)
        return mr_fail(err, MR_E(CORRUPT), MR_RETRY, "a listed object cannot be read: %.*s",
                       contents.size < 200 ? (int)contents.size : 200, (const char *)contents.data);
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->key, key.data, key.size);
    ret->bytes = bytes;
    ret->modified_ms = parse_time_ms(modified);
    return 1;
}
