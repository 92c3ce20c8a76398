/*
 * A ring of entries in the order of offsets, and an open-addressed index from id to the earliest
 * entry with that id. Entries of one id are chained from earlier to later, so that when the
 * earliest goes its successor takes its place in the index. Backwards the chain is a ring: the
 * earliest points to the latest, so that an id which comes ten thousand times costs no more each
 * time. Entries are named by a sequence number that only grows; its place in the ring is the number
 * modulo the capacity.
 */
#include "window.h"

#include <stdlib.h>

enum { CAPACITY_MIN = 256 };
#define NONE UINT64_MAX

struct entry {
    uint8_t id[WINDOW_ID_BYTES];
    int64_t offset;
    uint64_t value_hash;
    uint64_t later;   /* next entry of the same id, or NONE */
    uint64_t earlier; /* the one before; of the earliest: the latest */
};

struct window {
    int64_t reach;
    struct entry *ring;
    uint64_t *index;     /* 2 * capacity slots: sequence of the earliest entry of an id, or NONE */
    uint64_t first, end; /* sequences in the ring: [first, end) */
    uint64_t capacity;   /* a power of two */
};

static struct entry *
entry_at(const struct window *window, uint64_t sequence)
{
    return &window->ring[sequence & (window->capacity - 1)];
}

static uint64_t
home_of(const struct window *window, const uint8_t id[WINDOW_ID_BYTES])
{
    return mr_hash64(id, WINDOW_ID_BYTES, 0) & (2 * window->capacity - 1);
}

/* The index slot of id, or the free one where it would go. */
static uint64_t
slot_of(const struct window *window, const uint8_t id[WINDOW_ID_BYTES])
{
    uint64_t slot = home_of(window, id);
    while (window->index[slot] != NONE &&
           memcmp(entry_at(window, window->index[slot])->id, id, WINDOW_ID_BYTES) != 0)
        slot = (slot + 1) & (2 * window->capacity - 1);
    return slot;
}

/* Frees a slot and moves later members of its cluster up, so that no search ends too early. */
static void
clear_slot(struct window *window, uint64_t slot)
{
    uint64_t mask = 2 * window->capacity - 1;
    uint64_t hole = slot;
    for (uint64_t next = (slot + 1) & mask; window->index[next] != NONE; next = (next + 1) & mask) {
        uint64_t home = home_of(window, entry_at(window, window->index[next])->id);
        if (((next - home) & mask) < ((next - hole) & mask))
            continue;
        window->index[hole] = window->index[next];
        hole = next;
    }
    window->index[hole] = NONE;
}

static void
link_entry(struct window *window, uint64_t sequence)
{
    struct entry *entry = entry_at(window, sequence);
    uint64_t slot = slot_of(window, entry->id);
    entry->later = NONE;
    entry->earlier = sequence;
    if (window->index[slot] == NONE) {
        window->index[slot] = sequence;
        return;
    }
    struct entry *earliest = entry_at(window, window->index[slot]);
    entry->earlier = earliest->earlier;
    entry_at(window, earliest->earlier)->later = sequence;
    earliest->earlier = sequence;
}

static void
resize(struct window *window, uint64_t capacity)
{
    struct window old = *window;
    window->capacity = capacity;
    window->ring = mr_alloc(capacity * sizeof(*window->ring));
    window->index = mr_alloc(2 * capacity * sizeof(*window->index));
    memset(window->index, 0xff, 2 * capacity * sizeof(*window->index));
    for (uint64_t sequence = old.first; sequence < old.end; sequence++) {
        *entry_at(window, sequence) = *entry_at(&old, sequence);
        link_entry(window, sequence);
    }
    free(old.ring);
    free(old.index);
}

struct window *
window_new(int64_t reach)
{
    MR_ASSERT(reach >= 0 && reach <= WINDOW_REACH_MAX);
    struct window *window = mr_alloc(sizeof(*window));
    window->reach = reach;
    resize(window, CAPACITY_MIN);
    return window;
}

void
window_free(struct window *window)
{
    if (window == NULL)
        return;
    free(window->ring);
    free(window->index);
    free(window);
}

bool
window_find(const struct window *window, const uint8_t id[WINDOW_ID_BYTES], int64_t offset,
            uint64_t *ret_value_hash)
{
    uint64_t sequence = window->index[slot_of(window, id)];
    while (sequence != NONE && entry_at(window, sequence)->offset < offset - window->reach)
        sequence = entry_at(window, sequence)->later;
    if (sequence == NONE || entry_at(window, sequence)->offset >= offset)
        return false;
    *ret_value_hash = entry_at(window, sequence)->value_hash;
    return true;
}

void
window_add(struct window *window, const uint8_t id[WINDOW_ID_BYTES], int64_t offset,
           uint64_t value_hash)
{
    MR_ASSERT(window->first == window->end || entry_at(window, window->end - 1)->offset < offset);
    if (window->reach == 0)
        return;
    if (window->end - window->first == window->capacity)
        resize(window, 2 * window->capacity);
    uint64_t sequence = window->end++;
    struct entry *entry = entry_at(window, sequence);
    *entry = (struct entry){ .offset = offset, .value_hash = value_hash };
    memcpy(entry->id, id, WINDOW_ID_BYTES);
    link_entry(window, sequence);
}

void
window_rewind(struct window *window, int64_t offset)
{
    while (window->end > window->first && entry_at(window, window->end - 1)->offset >= offset) {
        uint64_t last = window->end - 1;
        const struct entry *entry = entry_at(window, last);
        uint64_t slot = slot_of(window, entry->id);
        if (window->index[slot] == last) {
            clear_slot(window, slot);
        } else {
            entry_at(window, entry->earlier)->later = NONE;
            entry_at(window, window->index[slot])->earlier = entry->earlier;
        }
        window->end--;
    }
}

void
window_advance(struct window *window, int64_t offset)
{
    while (window->first < window->end &&
           entry_at(window, window->first)->offset < offset - window->reach) {
        struct entry *entry = entry_at(window, window->first);
        uint64_t slot = slot_of(window, entry->id);
        MR_ASSERT(window->index[slot] == window->first);
        if (entry->later != NONE) {
            window->index[slot] = entry->later;
            entry_at(window, entry->later)->earlier = entry->earlier;
        } else {
            clear_slot(window, slot);
        }
        window->first++;
    }
}

size_t
window_count(const struct window *window)
{
    return window->end - window->first;
}

size_t
window_bytes(const struct window *window)
{
    return window->capacity * (sizeof(*window->ring) + 2 * sizeof(*window->index));
}
