/*
 * A client is one REQ socket to one peer. The next request cancels one that was given up, and a
 * late reply is dropped by nng since its id does not match. Nothing is sent again by itself: who
 * calls decides that.
 */
#include "rpc/private.h"

#include <nng/protocol/reqrep0/req.h>
#include <stdlib.h>

#include "clock/clock.h"

enum { RECONNECT_MS_MIN = 20, RECONNECT_MS_MAX = 500 };

struct mr_rpc_client {
    nng_socket socket;
    char *url;
    Millrace__V1__Reply *reply; /* what the last answer borrows from */
    bool is_owed;               /* a call was given up: its reply may come at any time */
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
    /* Closing while a reply comes in hangs for ever in nng 1.5 (seen in 1 of 20): such a socket is
     * left to the end of the process. */
    if (!client->is_owed)
        (void)nng_close(client->socket);
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
    message = rpc_pack_request(method, id, body, timeout_ms);
    if (message == NULL)
        return mr_fail(err, MR_E(TOO_LARGE), MR_REJECT, "%s: a request of %zu bytes is above %d",
                       method, body.size, MR_RPC_BYTES_MAX);
    (void)nng_socket_set_ms(client->socket, NNG_OPT_SENDTIMEO, (nng_duration)timeout_ms);
    int failed = nng_sendmsg(client->socket, message, 0);
    if (failed != 0) {
        nng_msg_free(message);
        return lost(client, method, failed, false, timeout_ms, err);
    }
    nng_duration left_ms = (nng_duration)mr_left_ms(deadline_ms, timeout_ms);
    (void)nng_socket_set_ms(client->socket, NNG_OPT_RECVTIMEO, left_ms > 0 ? left_ms : 1);
    failed = nng_recvmsg(client->socket, &message, 0);
    client->is_owed |= failed == NNG_ETIMEDOUT;
    if (failed != 0)
        return lost(client, method, failed, true, timeout_ms, err);
    millrace__v1__reply__free_unpacked(client->reply, NULL);
    client->reply = rpc_parse_reply(mr_slice(nng_msg_body(message), nng_msg_len(message)), id, ret);
    nng_msg_free(message);
    if (client->reply == NULL)
        return mr_fail(err, MR_E(INTERNAL), MR_FATAL, "%s does not speak our protocol",
                       client->url);
    return 0;
}
