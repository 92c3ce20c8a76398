/*
 * Frames between a runner and its SQL process. Both are the same program on the same machine, so
 * the header is a struct as it stands; sizes are checked all the same.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "query.h"

static int
send_all(int fd, const void *data, size_t size, struct mr_err *err)
{
    const char *at = data;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return mr_fail(err, MR_E(IO), MR_RETRY, "the SQL process is gone: %s", strerror(errno));
        at += sent;
        size -= (size_t)sent;
    }
    return 0;
}

static int
receive_all(int fd, void *data, size_t size, struct mr_err *err)
{
    char *at = data;
    while (size > 0) {
        ssize_t got = recv(fd, at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return mr_fail(err, MR_E(IO), MR_RETRY, "the SQL process ended");
        at += got;
        size -= (size_t)got;
    }
    return 0;
}

int
frame_send(int fd, enum frame_type type, uint32_t number, struct mr_slice body, struct mr_err *err)
{
    MR_ASSERT(body.size <= CHUNK_BYTES_MAX);
    struct frame frame = { (uint32_t)type, number, (uint32_t)body.size };
    if (send_all(fd, &frame, sizeof(frame), err) != 0)
        return err->code;
    return send_all(fd, body.data, body.size, err);
}

int
frame_wait(int fd, int64_t wait_ms, struct mr_err *err)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    int ready = poll(&poll_fd, 1, wait_ms > 0 ? (int)wait_ms : 0);
    if (ready < 0 && errno != EINTR)
        return mr_fail(err, MR_E(IO), MR_RETRY, "poll: %s", strerror(errno));
    return ready > 0;
}

int
frame_receive(int fd, struct frame *ret_frame, struct mr_buf *ret_body, struct mr_err *err)
{
    if (receive_all(fd, ret_frame, sizeof(*ret_frame), err) != 0)
        return err->code;
    mr_buf_reset(ret_body);
    void *room = mr_buf_extend(ret_body, ret_frame->size);
    if (room == NULL)
        return mr_fail(err, MR_E(TOO_LARGE), MR_REJECT, "a frame of %u bytes", ret_frame->size);
    return receive_all(fd, room, ret_frame->size, err);
}
