/*
 * rates: how much one may ask for in a time. A bucket is filled at a rate and holds what flows in
 * burst_s; each request takes one and each byte of a body takes one. Kept as the debt in time: the
 * moment at which the bucket is full again, so that an idle bucket costs nothing.
 *
 * A body larger than the whole bucket is let in when the bucket is full, or it never could be.
 */
#ifndef MR_RATES_H
#define MR_RATES_H

#include "gateway/policy.h"

struct rate {
    int64_t requests_full_ns, bytes_full_ns;
};

/* 0: taken. Else nothing is taken, and it is worth trying after so many whole seconds. */
int rate_take(struct rate *rate, const struct limits *limits, size_t bytes, int64_t now_ns);

/* Those who show nothing share a name but not a bucket: there is one for each address, or for a few
 * when there are more addresses than buckets. */
enum { RATES_PEERS = 4096 };
struct rates_peers {
    uint64_t seed;
    struct rate rates[RATES_PEERS];
};
/* peer: "127.0.0.1:4711" */
struct rate *rates_of_peer(struct rates_peers *peers, const char *peer);

#endif
