/*
 * The dialects that the door speaks. Each route function gets the requests of its first path
 * segment (routes.c) and replies to them, now or, when it posts events, after the last delivery
 * report.
 */
#ifndef MR_DIALECTS_H
#define MR_DIALECTS_H

#include "gateway/call.h"

/* rest_v2.c: Kafka REST Proxy v2 */
extern const struct dialect rest_v2;
void rest_v2_route(const struct call *call);
void rest_v2_consumers_route(const struct call *call);

/* rest_v3.c: Kafka REST Proxy v3 */
extern const struct dialect rest_v3;
void rest_v3_route(const struct call *call);
/* Whether its body is taken as a stream; asked at the end of its header. */
bool rest_v3_wants_stream(const struct call *call);

/* kinesis.c: Kinesis as an API gateway passes it on */
extern const struct dialect kinesis;
void kinesis_route(const struct call *call);
/* kinesis_control.c */
void kinesis_list(const struct call *call);
void kinesis_describe(const struct call *call, struct mr_slice stream);
void kinesis_create(const struct call *call, struct mr_slice stream);
void kinesis_delete(const struct call *call, struct mr_slice stream);
/* The topic of a record, in the request's memory; NULL: neither stream nor key names a kind. */
const char *kinesis_topic_of(const struct call *call, struct mr_slice stream,
                             struct mr_slice partition_key);
/* True for base64 of JSON where JSON is expected: somebody encoded twice. */
bool kinesis_is_coded_json(struct mr_slice data, struct mr_arena *arena);

/* kinesis_native.c: Kinesis as its SDKs speak it */
extern const struct dialect kinesis_native;
bool kinesis_is_native(const struct call *call);
void kinesis_native_route(const struct call *call);
/* kinesis_put.c */
void kinesis_put_answer(struct post *post);
/* The shard of the record's key, for both of them. */
int32_t kinesis_place(const struct event *event);

/* events.c: our own */
extern const struct dialect events_v1;
void events_route(const struct call *call);

#endif
