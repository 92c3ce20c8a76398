/*
 * The dialects that the door speaks, one file each. Every function here replies to the request,
 * now or, when it posts events, after the last delivery report.
 */
#ifndef MR_DIALECTS_H
#define MR_DIALECTS_H

#include "base/base.h"
#include "gateway/admit.h"
#include "http/http.h"

/* rest_v2.c: Kafka REST Proxy v2 */
extern const struct dialect rest_v2;
void rest_v2_post(struct admit *admit, struct mr_http_request *request, struct mr_slice topic);
void rest_v2_list(struct admit *admit, struct mr_http_request *request);

/* kinesis.c: Kinesis as an API gateway passes it on */
extern const struct dialect kinesis;
void kinesis_put(struct admit *admit, struct mr_http_request *request, struct mr_slice stream);
void kinesis_list(struct admit *admit, struct mr_http_request *request);
void kinesis_describe(struct admit *admit, struct mr_http_request *request, struct mr_slice stream);

/* events.c: our own */
extern const struct dialect events_v1;
void events_post(struct admit *admit, struct mr_http_request *request, struct mr_slice tenant,
                 struct mr_slice kind);

#endif
