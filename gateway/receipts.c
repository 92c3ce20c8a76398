/*
 * A hash table of chains over a fixed pool, and one list of all by their last use; both by numbers
 * of places, which take half the room of pointers. Pages of the pool that were never used cost
 * nothing.
 */
#include "gateway/receipts.h"

#include <stdlib.h>

enum { NONE = UINT32_MAX };

struct place {
    uint8_t id[STAMP_ID_BYTES];
    struct receipt receipt;
    uint32_t next;         /* of the bucket, or of the free ones */
    uint32_t older, newer; /* by last use */
};
_Static_assert(sizeof(struct place) + 2 * sizeof(uint32_t) <= RECEIPT_BYTES, "as stated");

struct receipts {
    struct place *places;
    uint32_t *buckets;
    size_t room, count, buckets_count;
    uint32_t newest, oldest, free;
};

struct receipts *
receipts_open(int64_t bytes_max)
{
    MR_ASSERT(bytes_max >= 0);
    MR_ASSERT(bytes_max <= RECEIPTS_BYTES_MAX);
    struct receipts *receipts = mr_alloc(sizeof(*receipts));
    receipts->newest = receipts->oldest = receipts->free = (uint32_t)NONE;
    receipts->room = (size_t)bytes_max / RECEIPT_BYTES;
    if (receipts->room == 0)
        return receipts;
    receipts->buckets_count = 2 * receipts->room;
    receipts->places = mr_alloc(receipts->room * sizeof(*receipts->places));
    receipts->buckets = mr_alloc(receipts->buckets_count * sizeof(*receipts->buckets));
    return receipts;
}

void
receipts_close(struct receipts *receipts)
{
    if (receipts == NULL)
        return;
    free(receipts->places);
    free(receipts->buckets);
    free(receipts);
}

/* An id is a hash already. Buckets hold numbers + 1, so that fresh memory is an empty table. */
static uint32_t *
bucket_of(struct receipts *receipts, const uint8_t id[STAMP_ID_BYTES])
{
    uint64_t number;
    memcpy(&number, id, sizeof(number));
    return &receipts->buckets[number % receipts->buckets_count];
}

static void
unlink_use(struct receipts *receipts, const struct place *place)
{
    if (place->newer != NONE)
        receipts->places[place->newer].older = place->older;
    else
        receipts->newest = place->older;
    if (place->older != NONE)
        receipts->places[place->older].newer = place->newer;
    else
        receipts->oldest = place->newer;
}

static void
link_use(struct receipts *receipts, struct place *place)
{
    uint32_t number = (uint32_t)(place - receipts->places);
    place->newer = (uint32_t)NONE;
    place->older = receipts->newest;
    if (receipts->newest != NONE)
        receipts->places[receipts->newest].newer = number;
    else
        receipts->oldest = number;
    receipts->newest = number;
}

static struct place *
find(struct receipts *receipts, const uint8_t id[STAMP_ID_BYTES])
{
    if (receipts->room == 0)
        return NULL;
    for (uint32_t at = *bucket_of(receipts, id); at != 0; at = receipts->places[at - 1].next)
        if (memcmp(receipts->places[at - 1].id, id, STAMP_ID_BYTES) == 0)
            return &receipts->places[at - 1];
    return NULL;
}

/* Takes it out of the table and of the list; its memory is the caller's to use. */
static void
take_out(struct receipts *receipts, struct place *place)
{
    uint32_t number = (uint32_t)(place - receipts->places) + 1;
    uint32_t *at = bucket_of(receipts, place->id);
    while (*at != number)
        at = &receipts->places[*at - 1].next;
    *at = place->next;
    unlink_use(receipts, place);
    receipts->count--;
}

static void
drop(struct receipts *receipts, struct place *place)
{
    take_out(receipts, place);
    place->next = receipts->free;
    receipts->free = (uint32_t)(place - receipts->places);
}

const struct receipt *
receipts_find(struct receipts *receipts, const uint8_t id[STAMP_ID_BYTES], uint32_t incarnation)
{
    MR_ASSERT(receipts != NULL);
    struct place *place = find(receipts, id);
    if (place == NULL)
        return NULL;
    if (place->receipt.incarnation != incarnation) {
        drop(receipts, place);
        return NULL;
    }
    unlink_use(receipts, place);
    link_use(receipts, place);
    return &place->receipt;
}

static struct place *
free_place(struct receipts *receipts)
{
    struct place *place;
    if (receipts->free != NONE) {
        place = &receipts->places[receipts->free];
        receipts->free = place->next;
        return place;
    }
    if (receipts->count < receipts->room)
        return &receipts->places[receipts->count];
    place = &receipts->places[receipts->oldest];
    take_out(receipts, place);
    return place;
}

void
receipts_begin(struct receipts *receipts, const uint8_t id[STAMP_ID_BYTES],
               const struct receipt *receipt)
{
    MR_ASSERT(find(receipts, id) == NULL);
    if (receipts->room == 0)
        return;
    struct place *place = free_place(receipts);
    uint32_t *bucket = bucket_of(receipts, id);
    memcpy(place->id, id, STAMP_ID_BYTES);
    place->receipt = *receipt;
    place->receipt.offset = -1;
    place->next = *bucket;
    *bucket = (uint32_t)(place - receipts->places) + 1;
    link_use(receipts, place);
    receipts->count++;
}

void
receipts_settle(struct receipts *receipts, const uint8_t id[STAMP_ID_BYTES],
                const struct receipt *receipt)
{
    MR_ASSERT(receipt->offset >= 0);
    struct place *place = find(receipts, id);
    /* It may have been dropped, and another value may be in flight under the id by now. */
    if (place == NULL || place->receipt.value_hash != receipt->value_hash)
        return;
    place->receipt.partition = receipt->partition;
    place->receipt.offset = receipt->offset;
}

void
receipts_forget(struct receipts *receipts, const uint8_t id[STAMP_ID_BYTES])
{
    struct place *place = find(receipts, id);
    if (place != NULL)
        drop(receipts, place);
}

size_t
receipts_count(const struct receipts *receipts)
{
    return receipts->count;
}
