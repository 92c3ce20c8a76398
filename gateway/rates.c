#include "gateway/rates.h"

static const int64_t second_ns = 1000000000;
static const int64_t cost_max_ns = INT64_MAX / 8; /* 36 years, and in seconds an int */

static int64_t
cost_ns(size_t amount, int64_t per_s)
{
    __int128 cost = (__int128)amount * second_ns / per_s;
    return cost > cost_max_ns ? cost_max_ns : (int64_t)cost;
}

/* How long until the bucket holds it, or is full; not above 0: it does. */
static int64_t
wait_ns(int64_t full_ns, int64_t now_ns, int64_t cost, int64_t burst)
{
    int64_t debt = full_ns > now_ns ? full_ns - now_ns : 0;
    return debt + (cost < burst ? cost : burst) - burst;
}

static void
spend(int64_t *full_ns, int64_t now_ns, int64_t cost)
{
    *full_ns = (*full_ns > now_ns ? *full_ns : now_ns) + cost;
}

int
rate_take(struct rate *rate, const struct limits *limits, size_t bytes, int64_t now_ns)
{
    MR_ASSERT(rate != NULL);
    int64_t burst = limits->burst_s * second_ns, longest = 0, request = 0, body = 0;
    if (limits->requests_per_s > 0) {
        request = cost_ns(1, limits->requests_per_s);
        longest = wait_ns(rate->requests_full_ns, now_ns, request, burst);
    }
    if (limits->bytes_per_s > 0 && bytes > 0) {
        body = cost_ns(bytes, limits->bytes_per_s);
        int64_t wait = wait_ns(rate->bytes_full_ns, now_ns, body, burst);
        longest = wait > longest ? wait : longest;
    }
    if (longest > 0)
        return (int)((longest - 1) / second_ns) + 1;
    spend(&rate->requests_full_ns, now_ns, request);
    spend(&rate->bytes_full_ns, now_ns, body);
    return 0;
}

struct rate *
rates_of_peer(struct rates_peers *peers, const char *peer)
{
    const char *colon = strrchr(peer, ':');
    size_t size = colon != NULL ? (size_t)(colon - peer) : strlen(peer);
    if (peers->seed == 0)
        mr_random(&peers->seed, sizeof(peers->seed));
    return &peers->rates[mr_hash64(peer, size, peers->seed) % RATES_PEERS];
}
