/*
 * Groups with eager rebalances: at any change every member first gives back all it has; when nobody
 * holds anything any more the partitions are dealt anew, one by one over the members. A member
 * whose assignment is lost is not waited for. A static member that closed stays as a ghost, and
 * keeps its hand, until a reader of the same name takes its place or the next rebalance removes it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bus/memory_state.h"

/* The next reader of the group behind from (NULL: the first). */
static struct memory_reader *
next_member(const struct memory_bus *bus, const char *group, const struct memory_reader *from)
{
    struct memory_reader *at = from == NULL ? bus->readers : from->next;
    while (at != NULL && (at->state == ALONE || strcmp(at->group, group) != 0))
        at = at->next;
    return at;
}

static bool
wants(const struct memory_reader *reader, const struct topic *topic)
{
    for (size_t i = 0; i < reader->patterns_count; i++) {
        if (reader->patterns[i][0] == '^'
                ? regexec(&reader->compiled[i], topic->pub.name, 0, NULL, 0) == 0
                : strcmp(reader->patterns[i], topic->pub.name) == 0)
            return true;
    }
    return false;
}

static void
drop_hand(struct memory_reader *reader)
{
    free(reader->hand);
    reader->hand = NULL;
    reader->hand_count = 0;
}

static void
give(struct memory_reader *reader, const struct topic *topic, int32_t partition)
{
    reader->hand = mr_realloc(reader->hand, (reader->hand_count + 1) * sizeof(*reader->hand));
    struct mr_part *part = &reader->hand[reader->hand_count++];
    *part = (struct mr_part){ .partition = partition };
    memcpy(part->topic, topic->pub.name, sizeof(part->topic));
}

static void
unlink_reader(struct memory_reader *reader)
{
    struct memory_reader **place = &reader->bus->readers;
    while (*place != reader)
        place = &(*place)->next;
    *place = reader->next;
}

static void
bury_ghosts(struct memory_bus *bus, const char *group)
{
    struct memory_reader *at = next_member(bus, group, NULL);
    while (at != NULL) {
        struct memory_reader *next = next_member(bus, group, at);
        if (at->closed) {
            unlink_reader(at);
            memory_reader_free(at);
        }
        at = next;
    }
}

/* The member behind last, in a ring, that wants the topic; NULL: nobody does. */
static struct memory_reader *
next_taker(struct memory_bus *bus, const char *group, struct memory_reader *last,
           const struct topic *topic)
{
    struct memory_reader *at = last;
    size_t passes = 0;
    while (passes < 2) {
        at = next_member(bus, group, at);
        if (at == NULL)
            passes++;
        else if (wants(at, topic))
            return at;
    }
    return NULL;
}

static void
deal(struct memory_bus *bus, const char *group)
{
    struct memory_reader *last = NULL;
    for (const struct topic *topic = bus->topics; topic != NULL; topic = topic->next) {
        for (int32_t partition = 0; partition < topic->pub.partitions; partition++) {
            struct memory_reader *taker = next_taker(bus, group, last, topic);
            if (taker == NULL)
                break;
            give(taker, topic, partition);
            last = taker;
        }
    }
    for (struct memory_reader *at = NULL; (at = next_member(bus, group, at)) != NULL;) {
        if (at->state == LEAVING)
            at->offered_anew = true;
        else
            at->state = OFFERED;
    }
    (void)pthread_cond_broadcast(&bus->changed);
}

static void
deal_when_free(struct memory_bus *bus, const char *group)
{
    struct memory_reader *at = NULL;
    while ((at = next_member(bus, group, at)) != NULL)
        if (at->state == LEAVING && !at->lost)
            return;
    for (at = NULL; (at = next_member(bus, group, at)) != NULL;)
        drop_hand(at);
    deal(bus, group);
}

/* What it had been told of must be given back; what it has not heard of just goes. */
static void
take_back(struct memory_reader *reader, bool lost)
{
    if (reader->state == OWNING || reader->state == ASKED) {
        free(reader->going);
        reader->going = MR_TAKE(reader->hand);
        reader->going_count = reader->hand_count;
        reader->state = LEAVING;
        reader->lost = false;
    } else if (reader->state == OFFERED) {
        reader->state = WAITING;
    }
    reader->lost |= lost;
    reader->offered_anew = false;
    drop_hand(reader);
}

void
memory_group_rebalance(struct memory_bus *bus, const char *group, bool lost)
{
    bury_ghosts(bus, group);
    for (struct memory_reader *at = NULL; (at = next_member(bus, group, at)) != NULL;)
        take_back(at, lost);
    deal_when_free(bus, group);
    (void)pthread_cond_broadcast(&bus->changed);
}

void
mr_bus_memory_rebalance(struct mr_bus *handle, const char *group, bool lost)
{
    struct memory_bus *bus = (struct memory_bus *)handle;
    MEMORY_LOCKED(bus);
    memory_group_rebalance(bus, group, lost);
}

static struct memory_reader *
find_unaware(struct memory_bus *bus, const struct topic *topic)
{
    struct memory_reader *at = bus->readers;
    while (at != NULL && (at->state == ALONE || at->seen == bus->changes || !wants(at, topic)))
        at = at->next;
    return at;
}

void
memory_group_topic_changed(struct memory_bus *bus, const struct topic *topic)
{
    struct memory_reader *at;
    bus->changes++;
    while ((at = find_unaware(bus, topic)) != NULL) {
        MR_CLEANUP(mr_freep) char *group = mr_strdup(at->group);
        for (at = NULL; (at = next_member(bus, group, at)) != NULL;)
            at->seen = bus->changes;
        memory_group_rebalance(bus, group, false);
    }
}

static struct memory_reader *
find_name(const struct memory_reader *reader)
{
    struct memory_reader *at = NULL;
    while (reader->instance != NULL && (at = next_member(reader->bus, reader->group, at)) != NULL)
        if (at != reader && at->instance != NULL && strcmp(at->instance, reader->instance) == 0)
            return at;
    return NULL;
}

/* A new reader under a known instance name takes over seat and hand without a rebalance; one that
 * lives on under that name is fenced. */
static void
take_seat(struct memory_reader *reader, struct memory_reader *former)
{
    bool had_hand = former->state == OFFERED || former->state == ASKED || former->state == OWNING;
    reader->hand = MR_TAKE(former->hand);
    reader->hand_count = former->hand_count;
    reader->state = had_hand ? OFFERED : WAITING;
    former->hand_count = 0;
    former->state = ALONE;
    former->fenced = true;
    if (former->closed) {
        unlink_reader(former);
        memory_reader_free(former);
    }
    if (!had_hand)
        memory_group_rebalance(reader->bus, reader->group, false);
    (void)pthread_cond_broadcast(&reader->bus->changed);
}

void
memory_group_join(struct memory_reader *reader)
{
    struct memory_reader *former = find_name(reader);
    if (former != NULL) {
        take_seat(reader, former);
        return;
    }
    if (reader->state == ALONE)
        reader->state = WAITING;
    memory_group_rebalance(reader->bus, reader->group, false);
}

void
memory_group_released(struct memory_reader *reader)
{
    MR_ASSERT(reader->state == LEAVING);
    free(reader->going);
    reader->going = NULL;
    reader->going_count = 0;
    reader->lost = false;
    reader->state = reader->offered_anew ? OFFERED : WAITING;
    reader->offered_anew = false;
    if (reader->state == WAITING)
        deal_when_free(reader->bus, reader->group);
}

void
memory_group_leave(struct memory_reader *reader)
{
    struct memory_bus *bus = reader->bus;
    bool was_member = reader->state != ALONE;
    if (reader->instance != NULL &&
        (reader->state == OFFERED || reader->state == ASKED || reader->state == OWNING)) {
        reader->closed = true;
        return;
    }
    unlink_reader(reader);
    if (was_member)
        memory_group_rebalance(bus, reader->group, false);
    memory_reader_free(reader);
}
