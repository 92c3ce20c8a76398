/*
 * store_promises: what every store driver promises, as one suite. A driver's test sets the opener
 * and runs them.
 */
#ifndef MR_STORE_PROMISES_H
#define MR_STORE_PROMISES_H

#include "store/store.h"
#include "test.h"

/* A new handle on the place of the running test; every test has an empty place of its own. */
extern struct mr_store *(*store_open_here)(void);
/* Called before each test: makes a new place. */
extern void (*store_new_place)(void);
/* The longest key that fits here: an S3 prefix takes its part. */
extern size_t (*store_key_max)(void);

/* Returns the number of promises that failed. */
int store_promises_run(const char *name);

/* 16 threads, each with its own handle, create one key at once, so many times. Returns the number
 * of rounds that had not exactly one winner, or whose object is not the winner's. */
enum { STORE_RACERS = 16 };
size_t store_race(size_t rounds);

/* Fails the test with the error's text. */
#define STORE_GOOD(call, err)                                                                      \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s: %s", #call, mr_code_name((err).code), (err).text);                   \
    } while (0)

#endif
