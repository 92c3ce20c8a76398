/*
 * The Kafka REST Proxy v2 dialect by its nouns: rest_v2.c is the way in, rest_v2_produce.c takes
 * records, rest_v2_topics.c describes the cluster, rest_v2_consumers.c serves consumers.
 */
#ifndef MR_REST_V2_H
#define MR_REST_V2_H

#include "gateway/dialects.h"
#include "gateway/media.h"

/* The dialect in the media type that Accept asks for; NULL: it was answered 406. */
const struct dialect *rest_v2_negotiate(const struct call *call);
/* The same for records of a consumer instance, which have one format. */
const struct dialect *rest_v2_negotiate_records(const struct call *call, bool is_json);
/* False: it is no number of a partition. */
bool rest_v2_partition(struct mr_slice digits, int32_t *ret);
void rest_v2_no_partition(const struct call *call, const struct dialect *as, struct mr_slice text);
/* What an error of the bus is in the proxy's words. */
enum fault rest_v2_fault(const struct mr_err *err);

void rest_v2_produce(const struct call *call, const struct dialect *as, int32_t partition);
void rest_v2_receipts(struct post *post);
void rest_v2_topics(const struct call *call, const struct dialect *as);

#endif
