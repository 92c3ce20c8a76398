/*
 * A buffer that grows by doubling up to its maximum and remembers that it did not fit.
 */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CAPACITY_MIN = 256 };

void
mr_buf_init(struct mr_buf *buf, size_t max_bytes)
{
    *buf = (struct mr_buf){ .max = max_bytes };
}

void
mr_buf_fini(struct mr_buf *buf)
{
    free(buf->data);
    *buf = (struct mr_buf){ .max = buf->max };
}

void
mr_buf_reset(struct mr_buf *buf)
{
    buf->size = 0;
    buf->failed = false;
    if (buf->data != NULL)
        buf->data[0] = '\0';
}

void *
mr_buf_extend(struct mr_buf *buf, size_t bytes)
{
    if (buf->failed || bytes > buf->max - buf->size) {
        buf->failed = true;
        return NULL;
    }
    size_t need = buf->size + bytes + 1;
    if (need > buf->capacity) {
        size_t capacity = buf->capacity * 2 > CAPACITY_MIN ? buf->capacity * 2 : CAPACITY_MIN;
        if (capacity > buf->max + 1)
            capacity = buf->max + 1;
        buf->capacity = capacity > need ? capacity : need;
        buf->data = mr_realloc(buf->data, buf->capacity);
    }
    char *room = buf->data + buf->size;
    buf->size += bytes;
    buf->data[buf->size] = '\0';
    return room;
}

void
mr_buf_put(struct mr_buf *buf, const void *data, size_t bytes)
{
    void *room = mr_buf_extend(buf, bytes);
    if (room != NULL && bytes > 0)
        memcpy(room, data, bytes);
}

void
mr_buf_text(struct mr_buf *buf, const char *nul_terminated)
{
    mr_buf_put(buf, nul_terminated, strlen(nul_terminated));
}

void
mr_buf_printf(struct mr_buf *buf, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    MR_ASSERT(length >= 0);
    char *room = mr_buf_extend(buf, (size_t)length);
    if (room != NULL)
        (void)vsnprintf(room, (size_t)length + 1, format, again);
    va_end(again);
}

void
mr_buf_json(struct mr_buf *buf, struct mr_slice utf8)
{
    const unsigned char *text = utf8.data;
    size_t plain = 0; /* start of the run that needs no escape */

    mr_buf_put(buf, "\"", 1);
    for (size_t i = 0; i < utf8.size; i++) {
        if (text[i] >= 0x20 && text[i] != '"' && text[i] != '\\')
            continue;
        mr_buf_put(buf, text + plain, i - plain);
        plain = i + 1;
        if (text[i] == '"' || text[i] == '\\')
            mr_buf_printf(buf, "\\%c", text[i]);
        else if (text[i] == '\n')
            mr_buf_put(buf, "\\n", 2);
        else
            mr_buf_printf(buf, "\\u%04x", text[i]);
    }
    mr_buf_put(buf, text + plain, utf8.size - plain);
    mr_buf_put(buf, "\"", 1);
}

struct mr_slice
mr_buf_slice(const struct mr_buf *buf)
{
    return mr_slice(buf->data, buf->size);
}
