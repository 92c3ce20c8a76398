/*
 * The file driver with calls that fail as strike says. Linked with --wrap=mr_store_file it takes
 * that driver's place in each store of the test. IO ends a call at once, TIMEOUT only a try:
 * store.c makes another one.
 */
#include "store/driver.h"
#include "strike.h"

extern const struct mr_store_driver __real_mr_store_file;
extern const struct mr_store_driver __wrap_mr_store_file;

#define REFUSED(e)                                                                                 \
    {                                                                                              \
        .way = STRIKE_REFUSED, .code = MR_E(e)                                                     \
    }
#define SILENT(e)                                                                                  \
    {                                                                                              \
        .way = STRIKE_SILENT, .code = MR_E(e)                                                      \
    }
static const struct strike writes[] = { SILENT(IO), REFUSED(IO), SILENT(TIMEOUT) };
static const struct strike removes[] = { REFUSED(IO), SILENT(IO) };
static const struct strike reads[] = { REFUSED(IO) };
static const struct strike lists[] = { REFUSED(IO), { .way = STRIKE_HALF, .code = MR_E(TIMEOUT) } };

typedef int operation(void *state, struct mr_store_call *call, struct mr_err *err);

static int
do_it(operation *real, void *state, struct mr_store_call *call, const struct strike *strike,
      struct mr_err *err)
{
    if (strike != NULL && strike->way == STRIKE_REFUSED)
        return strike_fail(strike, "the store", err);
    if (real(state, call, err) != 0)
        return err->code;
    return strike != NULL ? strike_fail(strike, "the store", err) : 0;
}

static int
put(void *state, struct mr_store_call *call, struct mr_err *err)
{
    return do_it(__real_mr_store_file.put, state, call,
                 strike_now(STRIKE_STORE, "put", writes, MR_COUNT(writes)), err);
}

static int
get(void *state, struct mr_store_call *call, struct mr_err *err)
{
    return do_it(__real_mr_store_file.get, state, call,
                 strike_now(STRIKE_STORE, "get", reads, MR_COUNT(reads)), err);
}

static int
head(void *state, struct mr_store_call *call, struct mr_err *err)
{
    return do_it(__real_mr_store_file.head, state, call,
                 strike_now(STRIKE_STORE, "head", reads, MR_COUNT(reads)), err);
}

/* The file driver tells a list at once, and is made to go on behind a half here. */
static int
list(void *state, struct mr_store_call *call, struct mr_err *err)
{
    const struct strike *strike = strike_now(STRIKE_STORE, "list", lists, MR_COUNT(lists));
    size_t all = call->count_max;
    if (call->items_count > 0)
        call->after = call->items[call->items_count - 1].key;
    if (strike != NULL && strike->way == STRIKE_HALF)
        call->count_max = 1;
    int code = do_it(__real_mr_store_file.list, state, call, strike, err);
    call->count_max = all;
    return code;
}

static int
take_away(void *state, struct mr_store_call *call, struct mr_err *err)
{
    return do_it(__real_mr_store_file.remove, state, call,
                 strike_now(STRIKE_STORE, "remove", removes, MR_COUNT(removes)), err);
}

static void
close_store(void *state)
{
    __real_mr_store_file.close(state);
}

const struct mr_store_driver __wrap_mr_store_file = {
    .put = put,
    .get = get,
    .head = head,
    .list = list,
    .remove = take_away,
    .close = close_store,
};
