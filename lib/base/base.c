/*
 * Errors, assertions, allocation, views. Allocation failure ends the process: every service is
 * crash-only, and its budgets are kept by limits on queues and batches, not by handling NULL.
 */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
mr_assert_failed(const char *expression, const char *file, int line)
{
    (void)fprintf(stderr, "level=error event=assertion-failed at=%s:%d what=\"%s\"\n", file, line,
                  expression);
    abort();
}

void
mr_freep(void *pointer_to_pointer)
{
    void **p = pointer_to_pointer;
    free(*p);
    *p = NULL;
}

void *
mr_alloc(size_t bytes)
{
    void *p = calloc(1, bytes > 0 ? bytes : 1);
    MR_ASSERT(p != NULL);
    return p;
}

void *
mr_realloc(void *p, size_t bytes)
{
    void *grown = realloc(p, bytes > 0 ? bytes : 1);
    MR_ASSERT(grown != NULL);
    return grown;
}

char *
mr_strndup(const char *text, size_t length)
{
    char *copy = mr_alloc(length + 1);
    memcpy(copy, text, length);
    return copy;
}

char *
mr_strdup(const char *text)
{
    return mr_strndup(text, strlen(text));
}

char *
mr_printf(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    MR_ASSERT(length >= 0);
    return text;
}

static const struct {
    const char *name, *text;
} codes[MR_CODE_COUNT] = { [MR_OK] = { "OK", "fine" },
#define MR_X(name, text) [MR_CODE_##name] = { #name, text },
                           MR_CODES(MR_X)
#undef MR_X
};

const char *
mr_code_name(int code)
{
    MR_ASSERT(code <= 0 && -code < MR_CODE_COUNT);
    return codes[-code].name;
}

const char *
mr_code_text(int code)
{
    MR_ASSERT(code <= 0 && -code < MR_CODE_COUNT);
    return codes[-code].text;
}

int
mr_fail(struct mr_err *err, int code, enum mr_remedy remedy, const char *format, ...)
{
    MR_ASSERT(code < 0 && -code < MR_CODE_COUNT);
    if (err == NULL)
        return code;
    if (err->code != 0)
        return err->code;
    err->code = code;
    err->remedy = remedy;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(err->text, sizeof(err->text), format, arguments);
    va_end(arguments);
    return code;
}

int
mr_fail_in(struct mr_err *err, const char *what, ...)
{
    MR_ASSERT(err == NULL || err->code < 0);
    if (err == NULL)
        return MR_E(INTERNAL);
    char text[MR_ERR_TEXT_MAX];
    va_list arguments;
    va_start(arguments, what);
    int length = vsnprintf(text, sizeof(text), what, arguments);
    va_end(arguments);
    if (length >= 0 && (size_t)length < sizeof(text) - 2) {
        (void)snprintf(text + length, sizeof(text) - (size_t)length, ": %.*s",
                       (int)sizeof(text) - length - 3, err->text);
        memcpy(err->text, text, sizeof(text));
    }
    return err->code;
}

struct mr_slice
mr_slice_text(const char *nul_terminated)
{
    return mr_slice(nul_terminated, strlen(nul_terminated));
}

bool
mr_slice_is(struct mr_slice a, struct mr_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool
mr_slice_is_text(struct mr_slice a, const char *nul_terminated)
{
    return mr_slice_is(a, mr_slice_text(nul_terminated));
}
