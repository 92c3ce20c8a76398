/*
 * What the files of rpc share: wire.c turns bytes into calls and answers and back, server.c and
 * client.c move them by nng.
 */
#ifndef MR_RPC_PRIVATE_H
#define MR_RPC_PRIVATE_H

#include <nng/nng.h>

#include "millrace/v1/rpc.pb-c.h"
#include "rpc/rpc.h"

/* NULL: not a request of ours. The call borrows from what is returned; its deadline counts from
 * now. */
Millrace__V1__Request *rpc_parse_request(struct mr_slice bytes, struct mr_rpc_call *ret);
/* NULL: not the reply to the request of that id. The answer borrows from what is returned. */
Millrace__V1__Reply *rpc_parse_reply(struct mr_slice bytes, const char *id,
                                     struct mr_rpc_answer *ret);

/* NULL: larger than MR_RPC_BYTES_MAX. */
nng_msg *rpc_pack_request(const char *method, const char *id, struct mr_slice body,
                          int64_t timeout_ms);
/* An answer that is too large becomes RESOURCE_EXHAUSTED. */
nng_msg *rpc_pack_reply(const char *id, const struct mr_rpc_answer *answer);

#endif
