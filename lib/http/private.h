/*
 * What the files of http share. A connection reads one request at a time (conn->reading), hands it
 * to the handler and keeps it in a list until its reply has left, so that replies leave in order.
 *
 *   server.c   listening, the epoll loop, watchers, drain
 *   timers.c   five lists of connections, each in the order of its deadlines
 *   conn.c     one connection, and the bytes that come in
 *   send.c     replies out of it
 *   head.c     the header: raw checks, llhttp, the checks that llhttp leaves to us
 *   target.c   request target to path, query and parameters
 *   request.c  what the handler sees; replies
 *   stream.c   requests that come and are answered bit by bit
 *   tls.c      TLS below conn.c
 *   coding.c   gzip, deflate and zstd undone
 */
#ifndef MR_HTTP_PRIVATE_H
#define MR_HTTP_PRIVATE_H

#include "http/http.h"

#include <llhttp.h>
#include <openssl/types.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    SCRATCH_BYTES = 64 * 1024,       /* one read */
    HEADERS_MAX = 100,               /* lines of one request */
    WATCHES_MAX = 8,                 /* foreign descriptors */
    CODINGS_MAX = 2,                 /* of one body */
    ANSWER_BYTES_AHEAD = 64 * 1024,  /* of answers that wait: no further request is begun */
    STREAM_OUT_BYTES = 64 * 1024,    /* of answers that wait: no more parts are read */
    STREAM_OUT_BYTES_MAX = 4 << 20,  /* of answers that wait: the connection is closed */
    STATUS_GONE = 499,               /* for the observer: nobody was there to be answered */
    SPARE_REQUESTS_MAX = 256,        /* kept for the next ones */
    KEPT_BODY_BYTES_MAX = 16 * 1024, /* of a spare request */
    CHUNK_EXTENSION_BYTES_MAX = 256, /* of one body */
    REPLY_BYTES_MAX = 256 * 1024 * 1024,
    IOVECS_MAX = 16,   /* replies in one system call */
    REFUSALS_MAX = 64, /* connections beyond the limit that still get a 503 */
    LINGER_MS = 2000,  /* for the peer to read a refusal before the reset */
    PEER_TEXT = 72,
    CLIENT_NAME_BYTES_MAX = 255,
};

enum source { SOURCE_LISTENER, SOURCE_CONN, SOURCE_WATCH }; /* first member of what epoll names */

enum phase {
    PHASE_HEAD,   /* between requests, or inside a header */
    PHASE_BODY,   /* Content-Length: left counts down */
    PHASE_CHUNKS, /* llhttp decodes */
    PHASE_STOP,   /* no further request is taken from this connection */
};

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_DEFLATE, CODING_ZSTD };

enum timer {
    TIMER_IDLE,
    TIMER_HEADER,
    TIMER_BODY,
    TIMER_STREAM,
    TIMER_WRITE,
    TIMER_LINGER,
    TIMER_NONE
};

struct header {
    struct mr_slice name, value;
};

/* What is forgotten between two uses of a request. */
struct parsed {
    size_t line_start; /* of the head's last, unfinished line */
    struct mr_slice method, target, path, query;
    size_t extension_bytes;
    enum coding codings[CODINGS_MAX]; /* of the body, in the order in which they were applied */
    size_t codings_count;
    int refusal;     /* status, when a chunk could not be taken */
    char tail[4];    /* the last bytes of the chunks */
    bool blank_line; /* one empty line stood before the request */
    bool is_old;     /* HTTP/1.0 */
    bool keep_alive;
    bool expects_continue;
    bool replied;
    bool close; /* after this reply */
    bool is_stream, is_started, is_paused;
    int status;            /* of a stream's answer, 0: not begun */
    size_t answered_bytes; /* of a stream */
    struct mr_http_stream stream;
    void *stream_self;
    const char *lines; /* for its reply, or NULL */
};

struct mr_http_request {
    struct conn *conn;
    struct mr_http_request *next; /* behind this one on the connection; or the next spare one */
    struct mr_buf head, body, out;
    struct mr_arena arena;
    struct header headers[HEADERS_MAX];
    size_t headers_count;
    size_t weight; /* its part of held_bytes */
    void *slot;
    struct parsed parsed;
};

struct conn {
    enum source source;
    int fd; /* -1: the peer has gone, requests are still with the handler */
    struct mr_http *http;
    llhttp_t parser;
    enum phase phase;
    struct mr_http_request *reading;      /* coming in */
    struct mr_http_request *stream;       /* begun and not ended; also in the list below */
    struct mr_http_request *first, *last; /* handed out or replied to, oldest first */
    size_t pending;                       /* length of that list */
    size_t left;                          /* of the body */
    size_t interim;                       /* left of a "100 Continue" to be sent */
    size_t sent;                          /* of first's reply */
    size_t served;
    SSL *ssl;          /* NULL: plain */
    char *client_name; /* NULL: none was verified */
    bool handshaking;
    bool ssl_heard;       /* its first byte was looked at */
    bool ssl_buffered;    /* input is here that epoll does not know of */
    bool ssl_wants_write; /* to go on reading */
    bool ssl_failed;      /* nothing more can be said */
    struct mr_buf rest;   /* read already, waiting for room in the pipeline */
    uint32_t events;      /* what epoll watches */
    bool blocked;         /* the peer does not read */
    bool flooded;         /* a stream's handler answered beyond the bound */
    bool linger;          /* close with a pause, so that a reset does not eat the reply */
    bool lingering;
    bool is_extra; /* beyond connections_max */
    bool dirty;    /* in http->dirty */
    bool timer_restart;
    enum timer timer;
    int64_t due_ms;
    struct conn *timer_prev, *timer_next;
    struct conn *prev, *next; /* all of http */
    struct conn *dirty_next, *dead_next;
    char peer[PEER_TEXT];
};

struct watch {
    enum source source;
    void (*ready)(void *self);
    void *self;
};

struct tls_files {
    char *cert, *key, *client_ca; /* the last may be NULL */
    bool client_required;
};

enum { TLS_FILES = 3 };
struct tls_stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    time_t seconds;
    long nanoseconds;
};

struct tls {
    SSL_CTX *context;
    struct tls_files files;
    struct tls_stamp stamps[TLS_FILES]; /* as they were when they were last read */
};

struct timer_list {
    struct conn *first, *last;
    int64_t limit_ms;
};

struct mr_http {
    enum source source;
    int epoll_fd, listen_fd;
    int spare_fd; /* given up for a moment when descriptors run out */
    struct mr_http_limits limits;
    mr_http_handler *handler;
    mr_http_chooser *wants_stream;
    void *self;
    mr_http_observer *observer; /* NULL: none */
    void *observer_self;
    bool draining;
    int64_t now_ms;
    size_t open, extra, pending;
    size_t held_bytes; /* of requests, whatever they hold, and of input that waits */
    struct conn *conns;
    struct conn *dirty; /* have replies to send or input to go on with */
    struct conn *dead;  /* freed at the end of a poll: events of this round may still name them */
    struct mr_http_request *spare;
    size_t spare_count;
    struct timer_list timers[TIMER_NONE];
    struct watch watches[WATCHES_MAX];
    size_t watches_count;
    struct tls *tls;         /* NULL: plain */
    struct codings *codings; /* NULL until the first coded body */
    int64_t date_s;
    char date[40]; /* "Date: ...\r\n" */
    char scratch[SCRATCH_BYTES];
};

/* timers.c */
void timer_update(struct conn *conn);
void timer_drop(struct conn *conn);
int64_t timer_next_ms(const struct mr_http *http); /* until the first deadline; -1: none */
void timer_expire(struct mr_http *http);

/* conn.c */
struct conn *conn_open(struct mr_http *http, int fd, const struct sockaddr_storage *address);
void conn_ready(struct conn *conn, uint32_t events);
void conn_dirty(struct conn *conn);
void conn_settle(struct conn *conn); /* sends what can be sent, goes on with what was read */
void conn_close(struct conn *conn);
void conn_free(struct conn *conn);
void conn_drop_rest(struct conn *conn);
/* Answers in the place of the request that is coming in, then closes. */
void conn_refuse(struct conn *conn, int status, const char *text);
extern const char conn_too_many[];

/* Takes a request out of the list, and the connection away when it was all that kept it. */
void conn_forget(struct conn *conn, struct mr_http_request *request);

/* send.c */
void send_all(struct conn *conn); /* what can leave now */
void send_end(struct conn *conn); /* closes, behind a pause when the peer may still be sending */
/* "100 Continue" leaves behind all earlier replies: true when it is time. */
bool send_invitation(struct conn *conn);

/* head.c */
void head_init(struct conn *conn);
/* Takes bytes of a header; *ret_complete at its end. Returns the bytes taken, or the negative
 * status of a refusal with its text. */
int64_t head_take(struct conn *conn, const char *data, size_t size, bool *ret_complete,
                  const char **ret_text);
/* Parses and judges a complete header: 0, or the status of a refusal. Sets phase and left. */
int head_parse(struct conn *conn, const char **ret_text);
/* Decodes chunks. Returns the bytes taken or a negative status. */
int64_t head_chunks(struct conn *conn, const char *data, size_t size, bool *ret_complete,
                    const char **ret_text);

/* target.c */
bool target_parse(struct mr_http_request *request, struct mr_slice host);

/* request.c */
struct mr_http_request *request_new(struct conn *conn);
void request_free(struct mr_http_request *request); /* to the spare ones */
void request_destroy(struct mr_http_request *request);
/* What more may be held. */
size_t request_room(const struct mr_http *http);
/* Brings held_bytes up to date with what the request holds now. */
void request_weigh(struct mr_http_request *request);
/* Adds to the body within its limits: 0, or the status of a refusal. */
int request_body_put(struct mr_http_request *request, const char *data, size_t size);
const struct header *request_header(const struct mr_http_request *request, const char *name,
                                    size_t *ret_count);
void request_reply(struct mr_http_request *request, const struct mr_http_reply *reply);
void request_head(struct mr_http_request *request, const struct mr_http_reply *reply,
                  bool is_chunked);
/* Answers for the handler; text needs no escapes in JSON. */
void request_refuse(struct mr_http_request *request, int status, const char *text, bool close);
void request_observe(struct mr_http_request *request, int status, size_t body_bytes);
extern const char request_continue[]; /* the interim reply */
extern const char request_no_room[];  /* why a body is refused with 503 */

/* stream.c */
bool stream_holds(const struct conn *conn); /* no input is taken now */
bool stream_reads(const struct conn *conn); /* begun, and its body is not at its end */
void stream_open(struct conn *conn);
bool stream_part(struct conn *conn, const char *data, size_t size);
void stream_whole(struct conn *conn);
void stream_stop(struct conn *conn, int status, const char *text);
void stream_gone(struct conn *conn);
void
stream_forget(struct mr_http_request *request); /* it is no stream of the connection's any more */

/* tls.c */
enum tls_step { TLS_DONE, TLS_AGAIN, TLS_PLAIN /* this is no TLS */, TLS_FAILED };
int tls_open(struct mr_http *http, const struct mr_http_tls *wish, struct mr_err *err);
void tls_close(struct tls *tls);
bool tls_start(struct conn *conn);
enum tls_step tls_handshake(struct conn *conn);
/* As recv and sendmsg: -1 with errno EAGAIN, or another one that ends the connection. */
ssize_t tls_receive(struct conn *conn, void *room, size_t size);
ssize_t tls_send(struct conn *conn, const struct iovec *pieces, size_t count);
void tls_say_end(struct conn *conn);
void tls_stop(struct conn *conn);

/* coding.c */
/* Reads Content-Encoding: 0, or the status of a refusal. */
int coding_parse(struct mr_http_request *request, const char **ret_text);
/* Puts what a whole body means in its place: 0, or the status of a refusal. */
int coding_undo(struct mr_http_request *request, const char **ret_text);
void codings_close(struct codings *codings);

#endif
