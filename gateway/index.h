/*
 * index: where one is: GET / for a person or a program, and the OpenAPI document of everything that
 * this door offers.
 */
#ifndef MR_INDEX_H
#define MR_INDEX_H

#include "gateway/call.h"

void index_show(const struct call *call);
void index_openapi(const struct call *call);

#endif
