/*
 * MT19937: constants and steps as its authors published them.
 */
#include "sequence.h"

enum { N = SEQUENCE_WORDS, M = 397 };

static void
seed_plain(struct sequence *sequence, uint32_t seed)
{
    uint32_t *mt = sequence->state;
    mt[0] = seed;
    for (uint32_t i = 1; i < N; i++)
        mt[i] = 1812433253U * (mt[i - 1] ^ (mt[i - 1] >> 30)) + i;
    sequence->used = N;
}

void
sequence_seed(struct sequence *sequence, uint32_t seed)
{
    uint32_t *mt = sequence->state;
    size_t i = 1;
    seed_plain(sequence, 19650218U);
    for (size_t k = 0; k < N; k++) { /* the key has one word: index 0 all the time */
        mt[i] = (mt[i] ^ ((mt[i - 1] ^ (mt[i - 1] >> 30)) * 1664525U)) + seed;
        if (++i == N) {
            mt[0] = mt[N - 1];
            i = 1;
        }
    }
    for (size_t k = 0; k < N - 1; k++) {
        mt[i] = (mt[i] ^ ((mt[i - 1] ^ (mt[i - 1] >> 30)) * 1566083941U)) - (uint32_t)i;
        if (++i == N) {
            mt[0] = mt[N - 1];
            i = 1;
        }
    }
    mt[0] = 0x80000000U;
}

static void
refill(struct sequence *sequence)
{
    uint32_t *mt = sequence->state;
    for (size_t i = 0; i < N; i++) {
        uint32_t y = (mt[i] & 0x80000000U) | (mt[(i + 1) % N] & 0x7fffffffU);
        mt[i] = mt[(i + M) % N] ^ (y >> 1) ^ ((y & 1) != 0 ? 0x9908b0dfU : 0);
    }
    sequence->used = 0;
}

static uint32_t
next_word(struct sequence *sequence)
{
    if (sequence->used == N)
        refill(sequence);
    uint32_t y = sequence->state[sequence->used++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680U;
    y ^= (y << 15) & 0xefc60000U;
    return y ^ (y >> 18);
}

uint32_t
sequence_below(struct sequence *sequence, uint32_t limit)
{
    unsigned bits = 32 - (unsigned)__builtin_clz(limit);
    uint32_t drawn;
    do
        drawn = next_word(sequence) >> (32 - bits);
    while (drawn >= limit);
    return drawn;
}
