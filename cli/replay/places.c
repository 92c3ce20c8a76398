/* Open addressing, at most half full. */
#include <stdlib.h>

#include "private.h"

enum { CAPACITY_MIN = 64 };

static struct place *
slot_of(const struct places *places, int32_t partition, int64_t offset)
{
    const int64_t key[2] = { partition, offset };
    size_t at = mr_hash64(key, sizeof(key), 0) & (places->capacity - 1);
    while (places->slots[at].offset >= 0 &&
           (places->slots[at].offset != offset || places->slots[at].partition != partition))
        at = (at + 1) & (places->capacity - 1);
    return &places->slots[at];
}

bool
places_has(const struct places *places, int32_t partition, int64_t offset)
{
    return places->capacity > 0 && slot_of(places, partition, offset)->offset >= 0;
}

static void
grow(struct places *places)
{
    struct places old = *places;
    places->capacity = old.capacity > 0 ? 2 * old.capacity : CAPACITY_MIN;
    places->slots = mr_alloc(places->capacity * sizeof(*places->slots));
    for (size_t i = 0; i < places->capacity; i++)
        places->slots[i].offset = -1;
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].offset >= 0)
            *slot_of(places, old.slots[i].partition, old.slots[i].offset) = old.slots[i];
    free(old.slots);
}

void
places_add(struct places *places, int32_t partition, int64_t offset)
{
    MR_ASSERT(offset >= 0);
    if (places_has(places, partition, offset))
        return;
    if (2 * (places->count + 1) > places->capacity)
        grow(places);
    *slot_of(places, partition, offset) = (struct place){ partition, offset };
    places->count++;
}

void
places_fini(struct places *places)
{
    free(places->slots);
    *places = (struct places){ 0 };
}
