/*
 * Deadlines. A connection waits for at most one thing at a time, and everything that waits for the
 * same thing has the same limit. So one list for each, appended to at the end, is in order without
 * any sorting, and the next deadline is the smallest of their heads.
 */
#include "http/private.h"

static void
link_last(struct timer_list *list, struct conn *conn)
{
    conn->timer_prev = list->last;
    conn->timer_next = NULL;
    if (list->last != NULL)
        list->last->timer_next = conn;
    else
        list->first = conn;
    list->last = conn;
}

void
timer_drop(struct conn *conn)
{
    if (conn->timer == TIMER_NONE)
        return;
    struct timer_list *list = &conn->http->timers[conn->timer];
    if (conn->timer_prev != NULL)
        conn->timer_prev->timer_next = conn->timer_next;
    else
        list->first = conn->timer_next;
    if (conn->timer_next != NULL)
        conn->timer_next->timer_prev = conn->timer_prev;
    else
        list->last = conn->timer_prev;
    conn->timer_prev = conn->timer_next = NULL;
    conn->timer = TIMER_NONE;
}

static enum timer
waits_for(const struct conn *conn)
{
    if (conn->lingering)
        return TIMER_LINGER;
    if (conn->handshaking)
        return TIMER_HEADER;
    if (conn->blocked)
        return TIMER_WRITE;
    if (conn->reading != NULL)
        return conn->phase == PHASE_HEAD       ? TIMER_HEADER
               : conn->stream != conn->reading ? TIMER_BODY
               : stream_holds(conn)            ? TIMER_NONE
                                               : TIMER_STREAM;
    return conn->pending == 0 ? TIMER_IDLE : TIMER_NONE;
}

void
timer_update(struct conn *conn)
{
    MR_ASSERT(conn->fd >= 0);
    enum timer timer = waits_for(conn);
    if (timer == conn->timer && !conn->timer_restart)
        return;
    timer_drop(conn);
    conn->timer_restart = false;
    conn->timer = timer;
    if (timer == TIMER_NONE)
        return;
    struct timer_list *list = &conn->http->timers[timer];
    conn->due_ms = conn->http->now_ms + list->limit_ms;
    link_last(list, conn);
}

int64_t
timer_next_ms(const struct mr_http *http)
{
    int64_t next_ms = -1;
    for (size_t i = 0; i < TIMER_NONE; i++) {
        const struct conn *first = http->timers[i].first;
        if (first == NULL)
            continue;
        int64_t left_ms = first->due_ms > http->now_ms ? first->due_ms - http->now_ms : 0;
        if (next_ms < 0 || left_ms < next_ms)
            next_ms = left_ms;
    }
    return next_ms;
}

static void
expire(struct conn *conn)
{
    enum timer timer = conn->timer;
    timer_drop(conn);
    if (timer == TIMER_STREAM) {
        stream_stop(conn, 408, "no part of the body came in time");
        return;
    }
    if (!conn->handshaking && (timer == TIMER_HEADER || timer == TIMER_BODY)) {
        conn_refuse(conn, 408, "the request did not arrive in time");
        return;
    }
    conn_close(conn);
}

void
timer_expire(struct mr_http *http)
{
    for (size_t i = 0; i < TIMER_NONE; i++) {
        struct timer_list *list = &http->timers[i];
        while (list->first != NULL && list->first->due_ms <= http->now_ms)
            expire(list->first);
    }
}
