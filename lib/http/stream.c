/*
 * Requests whose body comes and whose answer leaves bit by bit. Such a request stands in two places
 * at once: it is what the connection reads, and it waits among the others for its turn to answer.
 * It is the last to begin on its connection until it has ended.
 *
 * What is held is bounded: no part is read while the handler pauses or while answers wait for a
 * peer that does not read; a handler that answers on all the same loses the connection.
 */
#include "http/private.h"

#include <stdio.h>

bool
stream_holds(const struct conn *conn)
{
    const struct mr_http_request *request = conn->stream;
    if (request == NULL)
        return false;
    size_t sent = request == conn->first ? conn->sent : 0;
    return conn->reading != request || !request->parsed.is_started || request->parsed.is_paused ||
           request->out.size - sent > STREAM_OUT_BYTES;
}

void
stream_open(struct conn *conn)
{
    conn->stream = conn->reading;
    conn->stream->body.max = 0;
}

bool
stream_part(struct conn *conn, const char *data, size_t size)
{
    struct mr_http_request *request = conn->stream;
    /* The handler may have ended it by the part before, of the same bytes. */
    if (request == NULL || conn->reading != request)
        return false;
    conn->timer_restart = true;
    request->parsed.expects_continue = false;
    request->parsed.stream.part(request->parsed.stream_self, request, mr_slice(data, size));
    return true;
}

/* The input is over, well (status 0) or not. */
static void
end_input(struct conn *conn, int status, const char *text)
{
    struct mr_http_request *request = conn->stream;
    MR_ASSERT(conn->reading == request);
    conn->reading = NULL;
    if (status != 0)
        request->parsed.keep_alive = false;
    conn->phase = request->parsed.keep_alive ? PHASE_HEAD : PHASE_STOP;
    conn->linger = conn->linger || status != 0;
    conn_dirty(conn);
    request->parsed.stream.end(request->parsed.stream_self, request, status, text);
}

void
stream_whole(struct conn *conn)
{
    end_input(conn, 0, NULL);
}

void
stream_stop(struct conn *conn, int status, const char *text)
{
    MR_ASSERT(status >= 400);
    conn_drop_rest(conn);
    end_input(conn, status, text);
}

bool
stream_reads(const struct conn *conn)
{
    return conn->stream != NULL && conn->reading == conn->stream && conn->stream->parsed.is_started;
}

void
stream_gone(struct conn *conn)
{
    struct mr_http_request *request = conn->stream;
    if (request == NULL || !request->parsed.is_started)
        return;
    conn->stream = NULL;
    request->parsed.stream.gone(request->parsed.stream_self, request);
}

void
stream_forget(struct mr_http_request *request)
{
    struct conn *conn = request->conn;
    if (conn->stream != request)
        return;
    conn->stream = NULL;
    if (conn->reading != request)
        return;
    /* The rest of its body is not wanted any more, and nothing else can be told from it. */
    conn->reading = NULL;
    conn->phase = PHASE_STOP;
    conn->linger = true;
    request->parsed.keep_alive = false;
    conn_drop_rest(conn);
}

/* ---- what the handler says ---- */

bool
mr_http_is_stream(const struct mr_http_request *request)
{
    MR_ASSERT(request != NULL);
    return request->parsed.is_stream;
}

void
mr_http_stream(struct mr_http_request *request, const struct mr_http_stream *stream, void *self)
{
    MR_ASSERT(request != NULL);
    MR_ASSERT(request->parsed.is_stream);
    MR_ASSERT(!request->parsed.is_started);
    request->parsed.stream = *stream;
    request->parsed.stream_self = self;
    request->parsed.is_started = true;
    (void)send_invitation(request->conn);
    conn_dirty(request->conn);
}

void
mr_http_pause(struct mr_http_request *request)
{
    MR_ASSERT(request != NULL);
    request->parsed.is_paused = true;
    conn_dirty(request->conn);
}

void
mr_http_resume(struct mr_http_request *request)
{
    MR_ASSERT(request != NULL);
    request->parsed.is_paused = false;
    conn_dirty(request->conn);
}

void
mr_http_reply_begin(struct mr_http_request *request, const struct mr_http_reply *reply)
{
    MR_ASSERT(request != NULL);
    MR_ASSERT(request->parsed.is_stream);
    MR_ASSERT(request->parsed.status == 0);
    MR_ASSERT(reply->body.size == 0);
    request->parsed.status = reply->status;
    request->parsed.close =
        reply->close || !request->parsed.keep_alive || request->conn->http->draining;
    request_head(request, reply, true);
    conn_dirty(request->conn);
}

/* Forgets what has left, so that an answer without end does not grow. */
static void
drop_sent(struct conn *conn, struct mr_buf *out)
{
    memmove(out->data, out->data + conn->sent, out->size - conn->sent);
    out->size -= conn->sent;
    conn->sent = 0;
}

void
mr_http_reply_part(struct mr_http_request *request, struct mr_slice part)
{
    MR_ASSERT(request != NULL);
    MR_ASSERT(request->parsed.status != 0);
    struct conn *conn = request->conn;
    struct mr_buf *out = &request->out;
    char line[24];
    if (conn->fd < 0 || part.size == 0) /* an empty chunk would end the answer */
        return;
    if (conn->first == request && conn->sent > STREAM_OUT_BYTES)
        drop_sent(conn, out);
    size_t waiting = out->size - (conn->first == request ? conn->sent : 0);
    conn_dirty(conn);
    if (part.size > STREAM_OUT_BYTES_MAX || waiting > STREAM_OUT_BYTES_MAX - part.size) {
        conn->flooded = true;
        return;
    }
    int size = snprintf(line, sizeof(line), "%zx\r\n", part.size);
    mr_buf_put(out, line, (size_t)size);
    mr_buf_put(out, part.data, part.size);
    mr_buf_put(out, "\r\n", 2);
    MR_ASSERT(!out->failed);
    request_weigh(request);
    request->parsed.answered_bytes += part.size;
}

void
mr_http_reply_end(struct mr_http_request *request)
{
    MR_ASSERT(request != NULL);
    MR_ASSERT(request->parsed.is_stream);
    MR_ASSERT(!request->parsed.replied);
    struct conn *conn = request->conn;
    bool is_gone = conn->fd < 0;
    MR_ASSERT(request->parsed.status != 0 || is_gone);
    conn->http->pending--;
    request_observe(request, is_gone ? STATUS_GONE : request->parsed.status,
                    request->parsed.answered_bytes);
    stream_forget(request);
    if (is_gone || conn->lingering) {
        conn_forget(conn, request);
        return;
    }
    mr_buf_text(&request->out, "0\r\n\r\n");
    request->parsed.replied = true;
    request->parsed.close |= !request->parsed.keep_alive || conn->http->draining;
    conn_dirty(conn);
}
