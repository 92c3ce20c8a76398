/*
 * identities: the events of a post that can be told from all others again, and what the gateway
 * still knows of them (receipts.h).
 */
#ifndef MR_IDENTITIES_H
#define MR_IDENTITIES_H

#include "gateway/admit.h"
#include "gateway/receipts.h"

/* Gives each event its id. Once for a post. */
void identities_give(struct post *post, const struct stamp *stamp);
/* Is one of them in flight in another post? *ret_reused becomes the place of one that is known with
 * another value, if there is one. */
bool identities_wait(const struct post *post, struct receipts *receipts, size_t *ret_reused);
/* What is known is marked so, what is not is in flight from here on. The count of known ones;
 * *ret_reused as above, with nothing in flight, of one whose id stands in the post twice. */
size_t identities_begin(struct post *post, struct receipts *receipts, size_t *ret_reused);
/* What became of the events in flight becomes their receipts. */
void identities_settle(struct post *post, struct receipts *receipts);

#endif
