/*
 * window: the event ids of the last W offsets of one raw partition (LAW 5).
 *
 * A record at offset o is a repeat when the same id stands at a smaller offset in [o - W, o): a
 * pure function of the log, so every instance decides alike. Entries are added in the order of
 * offsets; those of an aborted batch are taken out again; old ones go only when a commit says that
 * no smaller offset will be asked for again.
 */
#ifndef MR_VALIDATOR_WINDOW_H
#define MR_VALIDATOR_WINDOW_H

#include "base/base.h"

enum { WINDOW_ID_BYTES = 16, WINDOW_REACH_MAX = 1000000 };

struct window;

struct window *window_new(int64_t reach); /* W, in offsets */
void window_free(struct window *window);
/* The value hash that the earliest record with this id in [offset - W, offset) has; false: none. */
bool window_find(const struct window *window, const uint8_t id[WINDOW_ID_BYTES], int64_t offset,
                 uint64_t *ret_value_hash);
void window_add(struct window *window, const uint8_t id[WINDOW_ID_BYTES], int64_t offset,
                uint64_t value_hash);
void window_rewind(struct window *window, int64_t offset);  /* forget entries at or behind it */
void window_advance(struct window *window, int64_t offset); /* nothing below it will be judged */
size_t window_count(const struct window *window);
size_t window_bytes(const struct window *window);

#endif
