/*
 * The receipts are asked in two rounds: nothing is put into them before it is sure that no event of
 * the post must wait or be refused, and an event may be there twice.
 */
#include "gateway/identities.h"

void
event_name(struct event *event, struct mr_slice source, struct mr_slice id)
{
    struct post *post = event->post;
    event->identity = mr_arena_alloc(post->arena, sizeof(*event->identity));
    *event->identity = (struct identity){ .name = { source, id } };
    post->is_named = true;
}

void
identities_give(struct post *post, const struct stamp *stamp)
{
    post->is_identified = true;
    for (size_t i = 0; i < post->count; i++) {
        struct event *event = &post->events[i];
        if (event->identity == NULL)
            event_name(event, mr_slice(NULL, 0), mr_slice(NULL, 0));
        struct identity *identity = event->identity;
        stamp_id(stamp, event->name, post->index + (uint32_t)event->place, &identity->name,
                 identity->id);
        identity->value_hash = mr_hash64(event->value.data, event->value.size, 0);
    }
}

bool
identities_wait(const struct post *post, struct receipts *receipts, size_t *ret_reused)
{
    bool waits = false;
    for (size_t i = 0; i < post->count; i++) {
        const struct event *event = &post->events[i];
        const struct receipt *receipt =
            receipts_find(receipts, event->identity->id, event->topic->incarnation);
        if (receipt == NULL)
            continue;
        waits = waits || receipt->offset < 0;
        if (receipt->value_hash != event->identity->value_hash) {
            *ret_reused = i;
            return false;
        }
    }
    return waits;
}

size_t
identities_begin(struct post *post, struct receipts *receipts, size_t *ret_reused)
{
    size_t repeated = 0;
    for (size_t i = 0; i < post->count; i++) {
        struct event *event = &post->events[i];
        struct identity *identity = event->identity;
        struct receipt fresh = { .value_hash = identity->value_hash,
                                 .incarnation = event->topic->incarnation,
                                 .place = (uint32_t)i };
        const struct receipt *receipt =
            receipts_find(receipts, identity->id, event->topic->incarnation);
        if (event->code != 0)
            continue; /* it will not be stored */
        if (receipt == NULL) {
            receipts_begin(receipts, identity->id, &fresh);
            identity->is_begun = true;
        } else if (receipt->value_hash != identity->value_hash) {
            while (i-- > 0)
                if (post->events[i].identity->is_begun)
                    receipts_forget(receipts, post->events[i].identity->id);
            *ret_reused = (size_t)(event - post->events);
            return repeated;
        } else if (receipt->offset < 0) {
            identity->twin = &post->events[receipt->place];
        } else {
            identity->is_known = true;
            event->partition = receipt->partition;
            event->offset = receipt->offset;
            repeated++;
        }
    }
    return repeated;
}

void
identities_settle(struct post *post, struct receipts *receipts)
{
    for (size_t i = 0; i < post->count; i++) {
        struct event *event = &post->events[i];
        const struct identity *identity = event->identity;
        if (identity->twin != NULL) {
            event->partition = identity->twin->partition;
            event->offset = identity->twin->offset;
            event->code = identity->twin->code;
            event->is_retriable = identity->twin->is_retriable;
            event->text = identity->twin->text;
        } else if (identity->is_begun && event->code == 0) {
            receipts_settle(receipts, identity->id,
                            &(struct receipt){ .value_hash = identity->value_hash,
                                               .partition = event->partition,
                                               .offset = event->offset });
        } else if (identity->is_begun) {
            receipts_forget(receipts, identity->id);
        }
    }
}
