/*
 * http: an HTTP/1.1 server core: epoll, llhttp, limits and timeouts. Requests come in whole and
 * bounded; replies may be given later, in any order, and leave in the order of their requests.
 *
 * Strictness: what RFC 9112 allows to refuse is refused by closing after an answer where one can be
 * given: Content-Length with Transfer-Encoding, repeated or signed lengths, bare LF, obs-fold,
 * blanks before a colon, a missing or double Host, NUL, anything llhttp's strict mode refuses.
 * Good requests that were pipelined before a bad one still get their answers.
 *
 * Threads: a server belongs to the thread that polls it; handler and watchers run inside
 * mr_http_poll. Several servers may share a port (SO_REUSEPORT).
 */
#ifndef MR_HTTP_H
#define MR_HTTP_H

#include "base/base.h"

struct mr_http;         /* a server */
struct mr_http_request; /* one request, until it is replied to */

struct mr_http_limits {       /* 0: the default in brackets */
    size_t connections_max;   /* [4096] beyond it: accepted, answered 503 and closed */
    size_t header_bytes_max;  /* [16384] 431 */
    size_t body_bytes_max;    /* [16 MiB] as sent and inflated: 413 */
    size_t held_bytes_max;    /* [64 MiB] of all requests and answers held: 503, Retry-After */
    size_t inflate_ratio_max; /* [200] of a compressed body, beyond its first 64 KiB: 413 */
    size_t pipeline_max;      /* [16] requests of one connection under way */
    size_t requests_max;      /* [0 = unlimited] per connection, then Connection: close */
    int header_ms_max;        /* [10000] from first byte to end of header: 408 */
    int body_ms_max;          /* [30000] 408 */
    int idle_ms_max;          /* [60000] keep-alive without a request: closed */
    int write_ms_max;         /* [30000] a reader that does not read: closed */
    int stream_idle_ms_max;   /* [300000] between two parts of a stream: it ends with 408 */
};

/* PEM files; cert NULL: plain HTTP. TLS 1.2 and 1.3. The process must ignore SIGPIPE. */
struct mr_http_tls {
    const char *cert, *key; /* the chain, its own certificate first; without a passphrase */
    const char *client_ca;  /* NULL: clients are not asked for a certificate */
    bool client_required;   /* else one that is shown must be good, and none is fine */
};

/* The handler must reply, now or later. The request's memory is valid until then. */
typedef void mr_http_handler(void *self, struct mr_http_request *request);

/* Asked at the end of a header that a body follows (HTTP/1.1): true makes it a stream, see below.
 */
typedef bool mr_http_chooser(void *self, struct mr_http_request *request);

struct mr_http_options {
    const char *host;
    int port; /* 0: a free one */
    struct mr_http_limits limits;
    struct mr_http_tls tls;
    mr_http_handler *handler;
    mr_http_chooser *wants_stream; /* NULL: never */
    void *self;
};
int mr_http_listen(const struct mr_http_options *options, struct mr_http **ret, struct mr_err *err);
/* Reads the files of TLS again. New connections get what they say now, old ones live on; on failure
 * all stays as it was. Nothing to do without TLS. */
int mr_http_tls_reload(struct mr_http *http, struct mr_err *err);
/* True when a file is not the one that was last read, well or not. */
bool mr_http_tls_changed(const struct mr_http *http);
int mr_http_port(const struct mr_http *http); /* the real one when 0 was asked for */
/* Serves what is ready, waiting up to timeout_ms for the first of it. Count of events. */
int mr_http_poll(struct mr_http *http, int timeout_ms);
/* Calls ready(self) inside poll when fd is readable (level-triggered). */
int mr_http_watch(struct mr_http *http, int fd, void (*ready)(void *self), void *self,
                  struct mr_err *err);
/* No more connections; requests under way are finished; each reply says Connection: close. */
void mr_http_drain(struct mr_http *http);
size_t mr_http_open_connections(const struct mr_http *http);
size_t mr_http_pending(const struct mr_http *http); /* requests handed out, not yet replied to */
size_t mr_http_held_bytes(const struct mr_http *http);
/* Sees every answer as it is given, the server's own refusals too: of those the slot is NULL and
 * what was not understood is empty. body_bytes: of the answer. */
typedef void mr_http_observer(void *self, struct mr_http_request *request, int status,
                              size_t body_bytes);
void mr_http_observe(struct mr_http *http, mr_http_observer *observer, void *self);
void mr_http_close(struct mr_http *http);

/* Borrowed until the reply. path is percent-decoded without the query, "//" folded; "." and ".."
 * segments and encoded slashes are refused before the handler sees them. */
struct mr_slice mr_http_method(const struct mr_http_request *request);
struct mr_slice mr_http_path(const struct mr_http_request *request);
struct mr_slice mr_http_query(const struct mr_http_request *request); /* raw, without '?' */
/* Value of a query parameter, decoded into the request's memory; data NULL: absent. */
struct mr_slice mr_http_param(struct mr_http_request *request, const char *name);
/* As it stands in the request line. */
struct mr_slice mr_http_target(const struct mr_http_request *request);
/* Header i of the request, in its order; false beyond the last. */
bool mr_http_header_at(const struct mr_http_request *request, size_t i, struct mr_slice *ret_name,
                       struct mr_slice *ret_value);
/* Case-insensitive; several of one name come joined by ", "; data NULL: absent. */
struct mr_slice mr_http_header(struct mr_http_request *request, const char *name);
/* Content codings (gzip, deflate, zstd, at most two) are undone; others were answered 415. */
struct mr_slice mr_http_body(const struct mr_http_request *request);
bool mr_http_is_tls(const struct mr_http_request *request);
/* Who the verified client certificate names: its first URI, else its first DNS name (subject
 * alternative names), else its subject's common name. NULL: no certificate, or no such name of at
 * most 255 bytes without control characters. */
const char *mr_http_client_name(const struct mr_http_request *request);
const char *mr_http_peer(const struct mr_http_request *request); /* "127.0.0.1:4711" */
/* Memory that lives as long as the request. */
struct mr_arena *mr_http_arena(struct mr_http_request *request);
/* A place for the handler's own state, NULL at first. */
void **mr_http_slot(struct mr_http_request *request);

struct mr_http_reply {
    int status;
    const char *content_type; /* NULL when there is no body */
    const char *headers;      /* complete lines ending in CRLF, or NULL */
    struct mr_slice body;     /* copied */
    bool close;
};
/* Adds header lines to whatever reply the request gets: complete lines ending in CRLF, copied. */
void mr_http_reply_lines(struct mr_http_request *request, const char *lines);
/* Consumes the request. A peer that has gone is fine. */
void mr_http_reply(struct mr_http_request *request, const struct mr_http_reply *reply);

/* ---- streams: the body comes in parts, without a largest size, while the answer leaves ----
 *
 * The handler gets a stream at the end of its header and, now or later, either refuses it
 * (mr_http_reply: the connection ends, for the body is not read) or begins it (mr_http_stream).
 * From then on it must be ended by mr_http_reply_end, also after gone; mr_http_reply is good too
 * while nothing has been begun. Callbacks run inside mr_http_poll and may use all of these.
 * Requests behind a stream wait until it has ended. A stream with a content coding is refused. */
bool mr_http_is_stream(const struct mr_http_request *request);

struct mr_http_stream {
    /* Bytes of the body, cut anywhere; borrowed during the call. */
    void (*part)(void *self, struct mr_http_request *request, struct mr_slice part);
    /* Once: no more parts. status 0: the body is whole. Otherwise why it is not, with a text: 400
     * malformed or cut, 408 too slow, 503 the server drains. Answers can still be given. */
    void (*end)(void *self, struct mr_http_request *request, int status, const char *text);
    /* At most once: the peer has gone, answers lead nowhere. No call comes behind it. */
    void (*gone)(void *self, struct mr_http_request *request);
};
void mr_http_stream(struct mr_http_request *request, const struct mr_http_stream *stream,
                    void *self);
/* No parts until resumed, except for up to 64 KiB that have been read already. By itself the server
 * pauses while 64 KiB of answers wait for the peer to read, and ends the connection at 4 MiB. */
void mr_http_pause(struct mr_http_request *request);
void mr_http_resume(struct mr_http_request *request);
/* Status and headers; reply->body is empty. */
void mr_http_reply_begin(struct mr_http_request *request, const struct mr_http_reply *reply);
void mr_http_reply_part(struct mr_http_request *request, struct mr_slice part); /* copied */
/* Consumes the request. In the middle of the body: the rest is dropped, the connection ends. */
void mr_http_reply_end(struct mr_http_request *request);

#endif
