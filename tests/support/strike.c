#include "strike.h"

#include <pthread.h>
#include <stdio.h>

#include "test.h"

enum { TEXT = 160, CALLS_MAX = 100000 };

static struct {
    pthread_mutex_t lock;
    bool armed;
    enum strike_side side;
    const char *only;
    unsigned calls;             /* of that side while armed */
    unsigned call, way, second; /* where to strike; second 0: once only */
    unsigned hits;
    size_t ways; /* that the struck call has */
    char told[TEXT];
} aim = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const char *const way_names[] = { "refused", "silent", "half", "revoked", "lost", "fenced" };

const struct strike *
strike_now(enum strike_side side, const char *call, const struct strike *ways, size_t count)
{
    const struct strike *found = NULL;
    MR_ASSERT(count > 0);
    (void)pthread_mutex_lock(&aim.lock);
    char name[32];
    (void)snprintf(name, sizeof(name), " %s", call);
    bool counts =
        aim.armed && side == aim.side && (aim.only == NULL || strstr(aim.only, name) != NULL);
    unsigned number = aim.calls;
    aim.calls += counts;
    if (counts && number == aim.call) {
        aim.ways = count;
        found = &ways[aim.way % count];
    } else if (counts && aim.second > 0 && number == aim.call + aim.second) {
        found = &ways[(aim.call + aim.second) % count];
    }
    if (found != NULL) {
        size_t used = strlen(aim.told);
        (void)snprintf(aim.told + used, sizeof(aim.told) - used, " %s[%u] %s %s", call, number,
                       way_names[found->way],
                       found->way <= STRIKE_HALF ? mr_code_name(found->code) : "");
        aim.hits++;
    }
    (void)pthread_mutex_unlock(&aim.lock);
    return found;
}

int
strike_fail(const struct strike *strike, const char *call, struct mr_err *err)
{
    enum mr_remedy remedy = strike->code == MR_E(FENCED) ? MR_FATAL : MR_RETRY;
    return mr_fail(err, strike->code, remedy, "%s was struck", call);
}

void
strike_arm(void)
{
    (void)pthread_mutex_lock(&aim.lock);
    aim.armed = true;
    (void)pthread_mutex_unlock(&aim.lock);
}

void
strike_rest(void)
{
    (void)pthread_mutex_lock(&aim.lock);
    aim.armed = false;
    (void)pthread_mutex_unlock(&aim.lock);
}

/* The count of hits. */
static unsigned
run(void (*scenario)(void *self), void *self, unsigned call, unsigned way, unsigned second)
{
    aim.armed = false;
    aim.calls = aim.hits = 0;
    aim.call = call;
    aim.way = way;
    aim.second = second;
    aim.told[0] = '\0';
    scenario(self);
    strike_rest();
    aim.told[0] = '\0';
    return aim.hits;
}

/* The count of calls of one side. */
static unsigned
strike_side(void (*scenario)(void *self), void *self, unsigned pairs, unsigned *ret_hits)
{
    for (unsigned call = 0; call < CALLS_MAX; call++) {
        aim.ways = 0;
        if (run(scenario, self, call, 0, 0) == 0)
            return call;
        unsigned ways = (unsigned)aim.ways;
        *ret_hits += ways;
        for (unsigned way = 1; way < ways; way++)
            (void)run(scenario, self, call, way, 0);
        for (unsigned second = 1; second <= pairs; second++)
            *ret_hits += run(scenario, self, call, (call + second) % ways, second) > 1;
    }
    fail_msg("more than %d calls", CALLS_MAX);
    return 0;
}

void
strike_every(const char *what, void (*scenario)(void *self), void *self, unsigned pairs,
             const char *only)
{
    unsigned calls[STRIKE_SIDES], hits = 0;
    aim.only = only;
    for (aim.side = STRIKE_BUS; aim.side < STRIKE_SIDES; aim.side++)
        calls[aim.side] = strike_side(scenario, self, pairs, &hits);
    assert_true(calls[STRIKE_BUS] > 0);
    print_message("%s: %u calls on the bus, %u in the store, struck in %u ways\n", what,
                  calls[STRIKE_BUS], calls[STRIKE_STORE], hits);
}

int
strike_tell(void **state)
{
    (void)state;
    if (aim.told[0] != '\0')
        print_message("struck:%s\n", aim.told);
    strike_rest();
    aim.told[0] = '\0';
    return 0;
}
