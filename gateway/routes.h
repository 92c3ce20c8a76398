/*
 * routes: which dialect a request speaks, by its path. The mr_http_handler of the door, and its
 * mr_http_chooser.
 */
#ifndef MR_ROUTES_H
#define MR_ROUTES_H

#include "http/http.h"

void route(void *gateway, struct mr_http_request *request);
bool route_wants_stream(void *gateway, struct mr_http_request *request);

#endif
