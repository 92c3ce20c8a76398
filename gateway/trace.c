/*
 * Trace ids are drawn from a generator of this process that the kernel seeds once: they name, they
 * protect nothing, and a system call for each request would cost more than the rest of it.
 */
#include "gateway/trace.h"

#include <endian.h>

static bool
is_hex(struct mr_slice text)
{
    const char *at = text.data;
    for (size_t i = 0; i < text.size; i++)
        if (!((at[i] >= '0' && at[i] <= '9') || (at[i] >= 'a' && at[i] <= 'f')))
            return false;
    return true;
}

static bool
is_zero(const char *text, size_t size)
{
    return strspn(text, "0") >= size;
}

/* version "-" trace-id "-" parent-id "-" flags, lower-case hex; later versions may go on. */
bool
trace_take(struct mr_slice text, char ret[TRACE_TEXT + 1])
{
    const char *at = text.data;
    if (text.size < TRACE_TEXT || at[2] != '-' || at[35] != '-' || at[52] != '-')
        return false;
    if (!is_hex(mr_slice(at, 2)) || !is_hex(mr_slice(at + 3, 32)) ||
        !is_hex(mr_slice(at + 36, 16)) || !is_hex(mr_slice(at + 53, 2)))
        return false;
    bool is_first = memcmp(at, "00", 2) == 0;
    if (memcmp(at, "ff", 2) == 0 || is_zero(at + 3, 32) || is_zero(at + 36, 16) ||
        (text.size > TRACE_TEXT && (is_first || at[TRACE_TEXT] != '-')))
        return false;
    memcpy(ret, at, TRACE_TEXT);
    memcpy(ret, "00", 2);
    ret[TRACE_TEXT] = '\0';
    return true;
}

/* splitmix64. */
static uint64_t
draw(void)
{
    static uint64_t state;
    if (state == 0)
        mr_random(&state, sizeof(state));
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

void
trace_make(uint64_t number, char ret[TRACE_TEXT + 1])
{
    MR_ASSERT(number != 0);
    uint64_t parts[] = { draw() | 1, draw(), htobe64(number) };
    memcpy(ret, "00-", 3);
    mr_hex(parts, 16, ret + 3);
    ret[35] = '-';
    mr_hex(&parts[2], 8, ret + 36);
    memcpy(ret + 52, "-00", 4);
}
