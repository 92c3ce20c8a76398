#include "strike.h"

#include <pthread.h>
#include <stdio.h>

#include "test.h"

enum { TEXT = 160, CALLS_MAX = 100000 };

static struct {
    pthread_mutex_t lock;
    bool armed;
    unsigned calls;             /* since the arming, over all arms of a scenario */
    unsigned call, way, second; /* where to strike; second 0: once only */
    unsigned hits;
    size_t ways; /* that the struck call has */
    char told[TEXT];
} aim = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const char *const way_names[] = { "refused", "silent", "half", "revoked", "lost", "fenced" };

const struct strike *
strike_now(const char *call, const struct strike *ways, size_t count)
{
    const struct strike *found = NULL;
    MR_ASSERT(count > 0);
    (void)pthread_mutex_lock(&aim.lock);
    unsigned number = aim.calls;
    aim.calls += aim.armed;
    if (aim.armed && number == aim.call) {
        aim.ways = count;
        found = &ways[aim.way];
    } else if (aim.armed && aim.second > 0 && number == aim.call + aim.second) {
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

void
strike_every(const char *what, void (*scenario)(void *self), void *self, unsigned pairs)
{
    unsigned calls = 0, singles = 0, doubles = 0;
    for (; calls < CALLS_MAX; calls++) {
        aim.ways = 0;
        if (run(scenario, self, calls, 0, 0) == 0)
            break;
        unsigned ways = (unsigned)aim.ways;
        singles += ways;
        for (unsigned way = 1; way < ways; way++)
            (void)run(scenario, self, calls, way, 0);
        for (unsigned second = 1; second <= pairs; second++)
            doubles += run(scenario, self, calls, (calls + second) % ways, second) > 1;
    }
    assert_in_range(calls, 1, CALLS_MAX - 1);
    print_message("%s: %u calls struck in %u ways, %u pairs\n", what, calls, singles, doubles);
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
