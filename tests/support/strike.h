/*
 * strike: one chosen call of a scenario fails. Wrappers of drivers ask at each call whether it is
 * the one and how it is to fail; strike_every runs a scenario again and again, with the first call
 * failing, the second, the third, each in all its ways, until it ends with no call failing.
 *
 * Threads: any may call; a scenario is aimed at before its threads start.
 */
#ifndef MR_STRIKE_H
#define MR_STRIKE_H

#include "base/base.h"

enum strike_way {
    STRIKE_REFUSED, /* nothing was done */
    STRIKE_SILENT,  /* all was done, only the answer is lost */
    STRIKE_HALF,    /* a part was done */
    STRIKE_REVOKED, /* the call goes on, but just before it the group asks for a rebalance .. */
    STRIKE_LOST,    /* .. or takes the assignment away .. */
    STRIKE_FENCED,  /* .. or another process takes the name */
};

struct strike {
    enum strike_way way;
    int code; /* of REFUSED, SILENT and HALF: what the call returns */
};

/* Calls of each side are counted apart: they may be of different threads. */
enum strike_side { STRIKE_BUS, STRIKE_STORE, STRIKE_SIDES };

/* Of this call: how it fails, NULL when it does not. */
const struct strike *strike_now(enum strike_side side, const char *call, const struct strike *ways,
                                size_t count);
/* Fills err and returns the code of a strike. */
int strike_fail(const struct strike *strike, const char *call, struct mr_err *err);

/* Calls count from now on; without this, and behind strike_rest, none is struck. */
void strike_arm(void);
void strike_rest(void);

/* Each call in each way, and with pairs > 0 again with another failure 1, 2 .. pairs calls behind
 * it. only: the names of those that count, each behind a blank; NULL: all. Prints how many were
 * struck. */
void strike_every(const char *what, void (*scenario)(void *self), void *self, unsigned pairs,
                  const char *only);
/* For a test's teardown: names the strike that it failed with. */
int strike_tell(void **state);

#endif
