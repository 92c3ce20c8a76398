#include "gateway/rates.h"

static const int64_t second_ns = 1000000000;

static int64_t
wait_ns(int64_t full_ns, int64_t now_ns, const struct limits *limits)
{
    return full_ns - now_ns - limits->burst_s * second_ns;
}

static void
spend(int64_t *full_ns, int64_t now_ns, int64_t amount, int64_t per_s)
{
    __int128 cost_ns = (__int128)amount * second_ns / per_s;
    __int128 full = (*full_ns > now_ns ? *full_ns : now_ns) + cost_ns;
    *full_ns = full > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)full;
}

int
rate_take(struct rate *rate, const struct limits *limits, size_t bytes, int64_t now_ns)
{
    MR_ASSERT(rate != NULL);
    int64_t longest_ns = -1;
    if (limits->requests_per_s > 0)
        longest_ns = wait_ns(rate->requests_full_ns, now_ns, limits);
    if (limits->bytes_per_s > 0 && bytes > 0) {
        int64_t bytes_ns = wait_ns(rate->bytes_full_ns, now_ns, limits);
        longest_ns = bytes_ns > longest_ns ? bytes_ns : longest_ns;
    }
    if (longest_ns >= 0)
        return (int)(longest_ns / second_ns) + 1;
    if (limits->requests_per_s > 0)
        spend(&rate->requests_full_ns, now_ns, 1, limits->requests_per_s);
    if (limits->bytes_per_s > 0)
        spend(&rate->bytes_full_ns, now_ns, (int64_t)bytes, limits->bytes_per_s);
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
