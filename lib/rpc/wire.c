/*
 * Request and Reply as bytes. What comes from outside is checked here once; behind it a call has a
 * method and a deadline within the limit.
 */
#include "rpc/private.h"

#include "clock/clock.h"

Millrace__V1__Request *
rpc_parse_request(struct mr_slice bytes, struct mr_rpc_call *ret)
{
    Millrace__V1__Request *request = millrace__v1__request__unpack(NULL, bytes.size, bytes.data);
    if (request == NULL || request->method[0] == '\0') {
        millrace__v1__request__free_unpacked(request, NULL);
        return NULL;
    }
    int64_t timeout_ms = request->timeout_ms;
    if (timeout_ms <= 0 || timeout_ms > MR_RPC_TIMEOUT_MAX_MS)
        timeout_ms = MR_RPC_TIMEOUT_MAX_MS;
    *ret = (struct mr_rpc_call){ .method = request->method,
                                 .body = mr_slice(request->body.data, request->body.len),
                                 .deadline_ms = mr_now_ms() + timeout_ms,
                                 .traceparent = request->traceparent,
                                 .id = request->id };
    return request;
}

Millrace__V1__Reply *
rpc_parse_reply(struct mr_slice bytes, const char *id, struct mr_rpc_answer *ret)
{
    Millrace__V1__Reply *reply = millrace__v1__reply__unpack(NULL, bytes.size, bytes.data);
    if (reply == NULL || strcmp(reply->id, id) != 0) {
        millrace__v1__reply__free_unpacked(reply, NULL);
        return NULL;
    }
    *ret = (struct mr_rpc_answer){ .status = reply->status,
                                   .message = reply->message,
                                   .body = mr_slice(reply->body.data, reply->body.len),
                                   .cursor = reply->cursor[0] != '\0' ? reply->cursor : NULL,
                                   .sequence = reply->sequence,
                                   .is_last = reply->last };
    return reply;
}

static nng_msg *
new_message(size_t size)
{
    nng_msg *message;
    int failed = nng_msg_alloc(&message, size);
    MR_ASSERT(failed == 0);
    return message;
}

nng_msg *
rpc_pack_request(const char *method, const char *id, struct mr_slice body, int64_t timeout_ms)
{
    Millrace__V1__Request request = MILLRACE__V1__REQUEST__INIT;
    request.id = (char *)id;
    request.method = (char *)method;
    request.timeout_ms = timeout_ms;
    request.body = (ProtobufCBinaryData){ body.size, (uint8_t *)body.data };
    size_t size = millrace__v1__request__get_packed_size(&request);
    if (size > MR_RPC_BYTES_MAX)
        return NULL;
    nng_msg *message = new_message(size);
    (void)millrace__v1__request__pack(&request, nng_msg_body(message));
    return message;
}

nng_msg *
rpc_pack_reply(const char *id, const struct mr_rpc_answer *answer)
{
    Millrace__V1__Reply reply = MILLRACE__V1__REPLY__INIT;
    reply.id = (char *)id;
    reply.status = answer->status;
    reply.message =
        (char *)(answer->message != NULL ? answer->message : mr_rpc_status_name(answer->status));
    reply.body = (ProtobufCBinaryData){ answer->body.size, (uint8_t *)answer->body.data };
    reply.cursor = (char *)(answer->cursor != NULL ? answer->cursor : "");
    reply.sequence = answer->sequence;
    reply.last = answer->is_last;
    size_t size = millrace__v1__reply__get_packed_size(&reply);
    if (size > MR_RPC_BYTES_MAX) {
        reply.status = MR_RPC_RESOURCE_EXHAUSTED;
        reply.message = (char *)"the reply is larger than 16 MiB";
        reply.body = (ProtobufCBinaryData){ 0 };
        size = millrace__v1__reply__get_packed_size(&reply);
    }
    nng_msg *message = new_message(size);
    (void)millrace__v1__reply__pack(&reply, nng_msg_body(message));
    return message;
}
