/*
 * A client is one REQ socket to one peer. The next request cancels one that was given up, and a
 * late reply is dropped by nng since its id does not match. Nothing is sent again by itself: who
 * calls decides that.
 */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "millrace/v1/rpc.pb-c.h"
#include "rpc/rpc.h"

enum { RECONNECT_MS_MIN = 20, RECONNECT_MS_MAX = 500 };

struct mr_rpc_client {
    nng_socket socket;
    char *url;
    Millrace__V1__Reply *reply; /* what the last answer borrows from */
};

int
mr_rpc_dial(const char *url, struct mr_rpc_client **ret, struct mr_err *err)
{
    MR_CLEANUP(mr_rpc_closep) struct mr_rpc_client *client = mr_alloc(sizeof(*client));
    int failed = nng_req0_open(&client->socket);
    MR_ASSERT(failed == 0);
    client->url = mr_strdup(url);
    (void)nng_socket_set_size(client->socket, NNG_OPT_RECVMAXSZ, MR_RPC_BYTES_MAX);
    (void)nng_socket_set_ms(client->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    (void)nng_socket_set_ms(client->socket, NNG_OPT_RECONNMINT, RECONNECT_MS_MIN);
    (void)nng_socket_set_ms(client->socket, NNG_OPT_RECONNMAXT, RECONNECT_MS_MAX);
    failed = nng_dial(client->socket, url, NULL, NNG_FLAG_NONBLOCK);
    if (failed != 0)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s cannot be dialled: %s", url,
                       nng_strerror(failed));
    *ret = MR_TAKE(client);
    return 0;
}

void
mr_rpc_close(struct mr_rpc_client *client)
{
    if (client == NULL)
        return;
    (void)nng_close(client->socket);
    if (client->reply != NULL)
        millrace__v1__reply__free_unpacked(client->reply, NULL);
    free(client->url);
    free(client);
}

void
mr_rpc_closep(struct mr_rpc_client **client)
{
    mr_rpc_close(*client);
    *client = NULL;
}

static nng_msg *
pack_request(const char *method, const char *id, struct mr_slice body, int64_t timeout_ms)
{
    Millrace__V1__Request request = MILLRACE__V1__REQUEST__INIT;
    nng_msg *message;
    request.id = (char *)id;
    request.method = (char *)method;
    request.timeout_ms = timeout_ms;
    request.body = (ProtobufCBinaryData){ body.size, (uint8_t *)body.data };
    int failed = nng_msg_alloc(&message, millrace__v1__request__get_packed_size(&request));
    MR_ASSERT(failed == 0);
    (void)millrace__v1__request__pack(&request, nng_msg_body(message));
    return message;
}

static int
lost(const struct mr_rpc_client *client, const char *method, int failed, bool was_sent,
     int64_t timeout_ms, struct mr_err *err)
{
    if (failed == NNG_ETIMEDOUT && was_sent)
        return mr_fail(err, MR_E(TIMEOUT), MR_RETRY, "%s of %s: no reply in %lld ms", method,
                       client->url, (long long)timeout_ms);
    return mr_fail(err, MR_E(UNAVAILABLE), MR_RETRY, "%s cannot be reached: %s; does it run there?",
                   client->url,
                   failed == NNG_ETIMEDOUT ? "no connection in time" : nng_strerror(failed));
}

int
mr_rpc_call(struct mr_rpc_client *client, const char *method, struct mr_slice body,
            int64_t timeout_ms, struct mr_rpc_answer *ret, struct mr_err *err)
{
    char id[MR_UUID_TEXT + 1];
    int64_t deadline_ms = mr_now_ms() + timeout_ms;
    nng_msg *message;
    MR_ASSERT(timeout_ms > 0 && timeout_ms <= MR_RPC_TIMEOUT_MAX_MS);

    mr_uuid_text(id);
    message = pack_request(method, id, body, timeout_ms);
    (void)nng_socket_set_ms(client->socket, NNG_OPT_SENDTIMEO, (nng_duration)timeout_ms);
    int failed = nng_sendmsg(client->socket, message, 0);
    if (failed != 0) {
        nng_msg_free(message);
        return lost(client, method, failed, false, timeout_ms, err);
    }
    nng_duration left_ms = (nng_duration)mr_left_ms(deadline_ms, timeout_ms);
    (void)nng_socket_set_ms(client->socket, NNG_OPT_RECVTIMEO, left_ms > 0 ? left_ms : 1);
    failed = nng_recvmsg(client->socket, &message, 0);
    if (failed != 0)
        return lost(client, method, failed, true, timeout_ms, err);
    if (client->reply != NULL)
        millrace__v1__reply__free_unpacked(client->reply, NULL);
    client->reply = millrace__v1__reply__unpack(NULL, nng_msg_len(message), nng_msg_body(message));
    nng_msg_free(message);
    if (client->reply == NULL || strcmp(client->reply->id, id) != 0)
        return mr_fail(err, MR_E(INTERNAL), MR_FATAL, "%s does not speak our protocol",
                       client->url);
    const Millrace__V1__Reply *reply = client->reply;
    *ret = (struct mr_rpc_answer){ .status = reply->status,
                                   .message = reply->message,
                                   .body = mr_slice(reply->body.data, reply->body.len),
                                   .cursor = reply->cursor[0] != '\0' ? reply->cursor : NULL,
                                   .sequence = reply->sequence,
                                   .is_last = reply->last };
    return 0;
}
