/*
 * Bytes out of one connection: replies in the order of their requests, several in one system call;
 * of a stream what there is of it.
 */
#include "http/private.h"

#include <errno.h>
#include <sys/socket.h>

static ssize_t
send_bytes(struct conn *conn, struct iovec *pieces, size_t count)
{
    if (conn->ssl != NULL)
        return tls_send(conn, pieces, count);
    struct msghdr message = { .msg_iov = pieces, .msg_iovlen = count };
    return sendmsg(conn->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void
send_end(struct conn *conn)
{
    tls_say_end(conn);
    if (!conn->linger || shutdown(conn->fd, SHUT_WR) != 0) {
        conn_close(conn);
        return;
    }
    conn->lingering = true;
    conn->blocked = false;
}

/* What may leave now, oldest first. */
static size_t
gather(struct conn *conn, struct iovec pieces[IOVECS_MAX])
{
    size_t count = 0, skip = conn->sent;
    if (conn->interim > 0)
        pieces[count++] =
            (struct iovec){ (char *)request_continue + strlen(request_continue) - conn->interim,
                            conn->interim };
    for (struct mr_http_request *at = conn->first; at != NULL && count < IOVECS_MAX;
         at = at->next) {
        if (at->out.size > skip)
            pieces[count++] = (struct iovec){ at->out.data + skip, at->out.size - skip };
        if (!at->parsed.replied)
            break; /* of a stream what there is */
        skip = 0;
    }
    return count;
}

/* Drops what has left; true when the connection ends behind a reply. */
static bool
advance(struct conn *conn, size_t bytes)
{
    size_t interim = bytes < conn->interim ? bytes : conn->interim;
    conn->interim -= interim;
    conn->sent += bytes - interim;
    while (conn->first != NULL && conn->first->parsed.replied &&
           conn->sent >= conn->first->out.size) {
        bool is_last = conn->first->parsed.close;
        conn->sent -= conn->first->out.size;
        conn_forget(conn, conn->first);
        if (is_last)
            return true;
    }
    if (conn->first != NULL && conn->sent > 0 && conn->sent == conn->first->out.size) {
        mr_buf_reset(&conn->first->out);
        request_weigh(conn->first);
        conn->sent = 0;
    }
    return false;
}

void
send_all(struct conn *conn)
{
    while (!conn->blocked && !conn->lingering) {
        struct iovec pieces[IOVECS_MAX];
        size_t count = gather(conn, pieces);
        if (count == 0)
            return;
        ssize_t sent = send_bytes(conn, pieces, count);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            conn->blocked = true;
            return;
        }
        if (sent < 0) {
            conn_close(conn);
            return;
        }
        if (advance(conn, (size_t)sent))
            send_end(conn);
        if (conn->fd < 0)
            return;
    }
}

bool
send_invitation(struct conn *conn)
{
    struct mr_http_request *request = conn->reading;
    if (request == NULL || !request->parsed.expects_continue || conn->blocked)
        return false;
    bool is_next = conn->pending == 0 || (conn->first == request && request->parsed.is_started &&
                                          request->parsed.status == 0);
    if (!is_next)
        return false;
    request->parsed.expects_continue = false;
    conn->interim = strlen(request_continue);
    return true;
}
