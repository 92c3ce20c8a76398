/*
 * sequence: the random numbers of CPython's random.Random(seed), as the emulated producer draws
 * them: MT19937 seeded by init_by_array (Matsumoto and Nishimura, 2002), randrange by rejection of
 * getrandbits (CPython, Lib/random.py, _randbelow_with_getrandbits).
 */
#ifndef MR_CLI_SEQUENCE_H
#define MR_CLI_SEQUENCE_H

#include <stddef.h>
#include <stdint.h>

enum { SEQUENCE_WORDS = 624 };

struct sequence {
    uint32_t state[SEQUENCE_WORDS];
    size_t used;
};
void sequence_seed(struct sequence *sequence, uint32_t seed);
uint32_t sequence_below(struct sequence *sequence, uint32_t limit); /* randrange(limit) */

#endif
