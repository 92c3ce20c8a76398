/*
 * guard: who a request is from, and what that principal may do. A door without a policy knows one
 * principal, the nameless one, who may do everything.
 *
 * Threads: the door's.
 */
#ifndef MR_GUARD_H
#define MR_GUARD_H

#include "base/base.h"

struct guard;
struct principal; /* lives as long as its guard */

enum right { RIGHT_PRODUCE = 1, RIGHT_CONSUME = 2, RIGHT_QUERY = 4, RIGHT_ADMIN = 8 };

struct guard *guard_open(void);
void guard_close(struct guard *guard);
/* The one who asks without showing anything; NULL: such a one is not let in. */
const struct principal *guard_nameless(const struct guard *guard);
/* "" for the nameless one; part of every event id (LAW 3). */
const char *principal_name(const struct principal *who);
/* topic: a topic of the cluster, or NULL for what concerns none (listing, the cluster itself). */
bool guard_may(const struct principal *who, enum right right, const char *topic);

#endif
