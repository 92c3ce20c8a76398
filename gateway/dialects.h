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

/* kinesis.c: Kinesis as an API gateway passes it on */
extern const struct dialect kinesis;
void kinesis_route(const struct call *call);
/* kinesis_streams.c */
void kinesis_list(const struct call *call);
void kinesis_describe(const struct call *call, struct mr_slice stream);

/* events.c: our own */
extern const struct dialect events_v1;
void events_route(const struct call *call);

#endif
