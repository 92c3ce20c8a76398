/*
 * The emulated producer: it draws row numbers as the well-known script does (seed 100: 7528, 2863,
 * 5730 ..) and posts the three records of each row, pin, geo, user, one POST each. Paced as the
 * original it opens a connection for each POST and sleeps 0 or 1 s a round; --fast keeps 16 rounds
 * in flight on open connections.
 *
 * Each POST carries an Idempotency-Key, so that one that got no answer can be sent again.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"
#include "clock/clock.h"
#include "sample.h"
#include "sequence.h"

enum {
    ROWS = 11001,      /* randint(0, 11000) */
    FLIGHTS_FAST = 16, /* rounds in flight */
    LINE_BYTES_MAX = 1 << 20,
    REPLY_BYTES_MAX = 1 << 20,
    RETRY_MS_MAX = 60000, /* one POST is given up after so long */
    KINDS = 3,
};

static const char *const kinds[KINDS] = { "pin", "geo", "user" };

struct options {
    struct cli_options common;
    const char *url, *data, *dialect, *stage;
    int64_t count, seed;
    bool fast, print;
};

static const struct mr_opt table[] = {
    { "url", MR_OPT_TEXT, offsetof(struct options, url), "http://127.0.0.1:8082", 1, 1000, NULL,
      "Gateway to post to.", false },
    { "count", MR_OPT_INT, offsetof(struct options, count), "1333", 1, 1000000000, NULL,
      "Rounds of three records.", false },
    { "seed", MR_OPT_INT, offsetof(struct options, seed), "100", 0, UINT32_MAX, NULL,
      "Seed of the row numbers.", false },
    { "data", MR_OPT_TEXT, offsetof(struct options, data), "", 0, 4096, NULL,
      "Post these rounds instead: lines of {\"n\",\"pin\",\"geo\",\"user\"}.", false },
    { "dialect", MR_OPT_CHOICE, offsetof(struct options, dialect), "rest", 0, 0, "rest|kinesis",
      "REST Proxy v2 or Kinesis behind an API gateway.", false },
    { "stage", MR_OPT_TEXT, offsetof(struct options, stage), "test", 0, 64, NULL,
      "First path segment.", false },
    { "fast", MR_OPT_BOOL, offsetof(struct options, fast), "false", 0, 0, NULL,
      "Do not sleep; 16 rounds in flight.", false },
    { "print", MR_OPT_BOOL, offsetof(struct options, print), "false", 0, 0, NULL,
      "Write the rounds as lines on stdout instead of posting them.", false },
    { 0 },
};

struct round {
    struct mr_buf values[KINDS]; /* JSON of each record */
    uint32_t pause_s;
};

/* One round under way: its records go one after the other. */
struct flight {
    CURL *curl;
    struct curl_slist *headers;
    struct round round;
    struct mr_buf body, reply;
    char key[128];
    size_t kind;
    int64_t number, first_try_ms, again_ms; /* again_ms: when to try once more; 0 = under way */
    unsigned attempt;
    bool is_busy;
};

struct emulator {
    struct options options;
    struct sequence sequence;
    FILE *data;
    char *line;
    CURLM *multi;
    struct flight flights[FLIGHTS_FAST];
    size_t flights_count;
    char run_id[MR_UUID_TEXT + 1];
    int64_t started, done, retries;
    bool is_at_end;
    char failure[MR_ERR_TEXT_MAX];
};

/* ---- rounds ---- */

/* The raw text of member name of the object in line; the line is trusted to be JSON. */
static struct mr_slice
member(const char *line, const char *name)
{
    char mark[16];
    int depth = 0;
    bool in_text = false;
    (void)snprintf(mark, sizeof(mark), "\"%s\":", name);
    const char *at = strstr(line, mark);
    if (at == NULL)
        return mr_slice(NULL, 0);
    const char *from = at + strlen(mark);
    from += strspn(from, " ");
    for (const char *c = from; *c != '\0'; c++) {
        if (in_text && *c == '\\' && c[1] != '\0')
            c++;
        else if (*c == '"')
            in_text = !in_text;
        else if (!in_text && (*c == '{' || *c == '['))
            depth++;
        else if (!in_text && (*c == '}' || *c == ']') && --depth == 0)
            return mr_slice(from, (size_t)(c + 1 - from));
    }
    return mr_slice(NULL, 0);
}

static int
read_round(struct emulator *e, struct round *round, struct mr_err *err)
{
    if (fgets(e->line, LINE_BYTES_MAX, e->data) == NULL) {
        e->is_at_end = true;
        return 0;
    }
    for (size_t k = 0; k < KINDS; k++) {
        struct mr_slice value = member(e->line, kinds[k]);
        if (value.data == NULL)
            return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s line %lld: no object \"%s\"",
                           e->options.data, (long long)e->started + 1, kinds[k]);
        mr_buf_put(&round->values[k], value.data, value.size);
    }
    return 0;
}

static void
draw_round(struct emulator *e, struct round *round)
{
    round->pause_s = sequence_below(&e->sequence, 2);
    uint32_t row = sequence_below(&e->sequence, ROWS);
    sample_pin(row, &round->values[0]);
    sample_geo(row, &round->values[1]);
    sample_user(row, &round->values[2]);
}

static int
next_round(struct emulator *e, struct round *round, struct mr_err *err)
{
    for (size_t k = 0; k < KINDS; k++)
        mr_buf_reset(&round->values[k]);
    round->pause_s = 0;
    if (e->started == e->options.count)
        e->is_at_end = true;
    else if (e->data != NULL)
        return read_round(e, round, err);
    else
        draw_round(e, round);
    return 0;
}

/* ---- posting ---- */

static size_t
on_reply(char *data, size_t size, size_t count, void *self)
{
    struct flight *flight = self;
    mr_buf_put(&flight->reply, data, size * count);
    return size * count;
}

static void
put_body(const struct emulator *e, struct flight *flight)
{
    const struct mr_buf *value = &flight->round.values[flight->kind];
    const char *tenant = e->options.common.tenant, *kind = kinds[flight->kind];
    mr_buf_reset(&flight->body);
    if (e->options.dialect[0] == 'r')
        mr_buf_printf(&flight->body, "{\"records\": [{\"value\": %s}]}", value->data);
    else
        mr_buf_printf(&flight->body,
                      "{\"StreamName\": \"streaming-%s-%s\", \"Data\": %s, "
                      "\"PartitionKey\": \"partition-%lld\"}",
                      tenant, kind, value->data, (long long)flight->number);
}

static void
send_post(struct emulator *e, struct flight *flight)
{
    const struct options *o = &e->options;
    const char *kind = kinds[flight->kind];
    bool is_rest = o->dialect[0] == 'r';
    char url[2048], key[256];

    if (is_rest)
        (void)snprintf(url, sizeof(url), "%s/%s%stopics/%s.%s", o->url, o->stage,
                       o->stage[0] != '\0' ? "/" : "", o->common.tenant, kind);
    else
        (void)snprintf(url, sizeof(url), "%s/%s%sstreams/streaming-%s-%s/record", o->url, o->stage,
                       o->stage[0] != '\0' ? "/" : "", o->common.tenant, kind);
    (void)snprintf(key, sizeof(key), "Idempotency-Key: %s-%lld-%s", e->run_id,
                   (long long)flight->number, kind);
    curl_slist_free_all(flight->headers);
    flight->headers =
        curl_slist_append(NULL, is_rest ? "Content-Type: application/vnd.kafka.json.v2+json"
                                        : "Content-Type: application/json");
    flight->headers = curl_slist_append(flight->headers, key);
    put_body(e, flight);
    mr_buf_reset(&flight->reply);
    (void)curl_easy_setopt(flight->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(flight->curl, CURLOPT_HTTPHEADER, flight->headers);
    (void)curl_easy_setopt(flight->curl, CURLOPT_POSTFIELDSIZE, (long)flight->body.size);
    (void)curl_easy_setopt(flight->curl, CURLOPT_POSTFIELDS, flight->body.data);
    (void)curl_easy_setopt(flight->curl, CURLOPT_CUSTOMREQUEST, is_rest ? "POST" : "PUT");
    (void)curl_multi_add_handle(e->multi, flight->curl);
    flight->again_ms = 0;
}

static void
open_flight(struct emulator *e, struct flight *flight)
{
    for (size_t k = 0; k < KINDS; k++)
        mr_buf_init(&flight->round.values[k], LINE_BYTES_MAX);
    mr_buf_init(&flight->body, 2 * LINE_BYTES_MAX);
    mr_buf_init(&flight->reply, REPLY_BYTES_MAX);
    flight->curl = curl_easy_init();
    MR_ASSERT(flight->curl != NULL);
    (void)curl_easy_setopt(flight->curl, CURLOPT_WRITEFUNCTION, on_reply);
    (void)curl_easy_setopt(flight->curl, CURLOPT_WRITEDATA, flight);
    (void)curl_easy_setopt(flight->curl, CURLOPT_PRIVATE, flight);
    (void)curl_easy_setopt(flight->curl, CURLOPT_TIMEOUT_MS, 30000L);
    (void)curl_easy_setopt(flight->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(flight->curl, CURLOPT_FORBID_REUSE, e->options.fast ? 0L : 1L);
}

static void
close_flight(struct flight *flight)
{
    curl_easy_cleanup(flight->curl);
    curl_slist_free_all(flight->headers);
    for (size_t k = 0; k < KINDS; k++)
        mr_buf_fini(&flight->round.values[k]);
    mr_buf_fini(&flight->body);
    mr_buf_fini(&flight->reply);
}

static int
start_round(struct emulator *e, struct flight *flight, struct mr_err *err)
{
    if (next_round(e, &flight->round, err) != 0)
        return err->code;
    if (e->is_at_end)
        return 0;
    if (!e->options.fast && flight->round.pause_s > 0)
        (void)sleep(flight->round.pause_s);
    flight->number = e->started++;
    flight->kind = 0;
    flight->attempt = 0;
    flight->first_try_ms = mr_now_ms();
    flight->is_busy = true;
    send_post(e, flight);
    return 0;
}

/* A client's own fault is final; everything else is tried again for a while. */
static bool
is_final(long status)
{
    return status >= 400 && status < 500 && status != 408 && status != 429;
}

static void
after_failure(struct emulator *e, struct flight *flight, CURLcode code, long status)
{
    if (is_final(status) || mr_now_ms() - flight->first_try_ms > RETRY_MS_MAX) {
        (void)snprintf(e->failure, sizeof(e->failure), "round %lld %s: %s: HTTP %ld %.300s",
                       (long long)flight->number + 1, kinds[flight->kind],
                       code != CURLE_OK ? curl_easy_strerror(code) : "refused", status,
                       flight->reply.size > 0 ? flight->reply.data : "");
        return;
    }
    e->retries++;
    flight->again_ms = mr_now_ms() + mr_backoff_ms(flight->attempt++);
}

static void
after_post(struct emulator *e, struct flight *flight, CURLcode code)
{
    long status = 0;
    (void)curl_easy_getinfo(flight->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_multi_remove_handle(e->multi, flight->curl);
    if (code != CURLE_OK || status < 200 || status > 299) {
        after_failure(e, flight, code, status);
        return;
    }
    flight->attempt = 0;
    flight->first_try_ms = mr_now_ms();
    if (++flight->kind < KINDS) {
        send_post(e, flight);
        return;
    }
    flight->is_busy = false;
    e->done++;
}

/* ---- the run ---- */

static int
keep_flying(struct emulator *e, bool *ret_any, struct mr_err *err)
{
    *ret_any = false;
    for (size_t i = 0; i < e->flights_count; i++) {
        struct flight *flight = &e->flights[i];
        if (!flight->is_busy && !e->is_at_end && start_round(e, flight, err) != 0)
            return err->code;
        if (flight->is_busy && flight->again_ms != 0 && mr_now_ms() >= flight->again_ms)
            send_post(e, flight);
        *ret_any = *ret_any || flight->is_busy;
    }
    return 0;
}

static void
show_progress(const struct emulator *e, int64_t *next_ms)
{
    if (mr_now_ms() < *next_ms || !isatty(STDERR_FILENO))
        return;
    (void)fprintf(stderr, "\r%lld of %lld rounds posted", (long long)e->done,
                  (long long)e->options.count);
    *next_ms = mr_now_ms() + 200;
}

static int
fly(struct emulator *e, struct mr_err *err)
{
    int64_t progress_ms = mr_now_ms() + 2000;
    for (;;) {
        int running = 0, left = 0;
        bool any = false;
        if (keep_flying(e, &any, err) != 0)
            return err->code;
        if (!any)
            return 0;
        (void)curl_multi_perform(e->multi, &running);
        for (CURLMsg *message; (message = curl_multi_info_read(e->multi, &left)) != NULL;) {
            struct flight *flight = NULL;
            if (message->msg != CURLMSG_DONE)
                continue;
            (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &flight);
            after_post(e, flight, message->data.result);
        }
        if (e->failure[0] != '\0')
            return mr_fail(err, MR_E(IO), MR_FATAL, "%s", e->failure);
        show_progress(e, &progress_ms);
        (void)curl_multi_poll(e->multi, NULL, 0, 20, NULL);
    }
}

static int
post_all(struct emulator *e, struct mr_err *err)
{
    int64_t from_ms = mr_now_ms();
    if (e->options.common.tenant[0] == '\0')
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "option --tenant is missing: whose events are these?");
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    e->multi = curl_multi_init();
    e->flights_count = e->options.fast ? FLIGHTS_FAST : 1;
    for (size_t i = 0; i < e->flights_count; i++)
        open_flight(e, &e->flights[i]);
    int result = fly(e, err);
    if (isatty(STDERR_FILENO))
        (void)fprintf(stderr, "\r");
    for (size_t i = 0; i < e->flights_count; i++)
        close_flight(&e->flights[i]);
    (void)curl_multi_cleanup(e->multi);
    printf("%lld rounds, %lld events accepted, %lld posts sent again, %.1f s\n", (long long)e->done,
           (long long)e->done * KINDS, (long long)e->retries,
           (double)(mr_now_ms() - from_ms) / 1000);
    return result;
}

static int
print_all(struct emulator *e, struct mr_err *err)
{
    struct round round;
    for (size_t k = 0; k < KINDS; k++)
        mr_buf_init(&round.values[k], LINE_BYTES_MAX);
    while (next_round(e, &round, err) == 0 && !e->is_at_end) {
        e->started++;
        printf("{\"n\": %lld, \"pin\": %s, \"geo\": %s, \"user\": %s}\n", (long long)e->started,
               round.values[0].data, round.values[1].data, round.values[2].data);
    }
    for (size_t k = 0; k < KINDS; k++)
        mr_buf_fini(&round.values[k]);
    return err->code;
}

int
command_emulate(int argc, char **argv)
{
    static struct emulator e;
    struct mr_err err = { 0 };
    int result = cli_load("millrace emulate", "Posts the emulated producer's events to a gateway.",
                          table, &e.options, argc, argv, NULL, NULL, &err);
    if (result > 0)
        return EXIT_FINE;
    if (result < 0)
        return cli_refuse(&err);
    sequence_seed(&e.sequence, (uint32_t)e.options.seed);
    mr_uuid_text(e.run_id);
    if (e.options.data[0] != '\0') {
        e.data = fopen(e.options.data, "r");
        e.line = mr_alloc(LINE_BYTES_MAX);
        if (e.data == NULL) {
            (void)mr_fail(&err, MR_E(INVALID), MR_FATAL, "option --data: %s cannot be read",
                          e.options.data);
            return cli_refuse(&err);
        }
    }
    result = e.options.print ? print_all(&e, &err) : post_all(&e, &err);
    if (e.data != NULL)
        (void)fclose(e.data);
    free(e.line);
    return result == 0 ? EXIT_FINE : cli_refuse(&err);
}
