/*
 * millrace-gateway: takes JSON events over HTTP in the dialect that a client speaks, writes them to
 * the raw topics as they are, and answers when Kafka has stored them on all in-sync replicas.
 */
#include "bus/bus.h"
#include "gateway/options.h"
#include "gateway/receipts.h"
#include "gateway/reply.h"
#include "log/log.h"
#include "topics/topics.h"

static const char name[] = "millrace-gateway";

enum { STEP_MS = 100, HOST_BYTES = 256 };

static const struct mr_opt options_table[] = {
    { "listen", MR_OPT_ADDR, offsetof(struct options, listen), "127.0.0.1:8082", 0, 0, NULL,
      "Where clients post; beyond loopback only with --policy and TLS, or --insecure. Port 0 takes "
      "a "
      "free one.",
      false },
    { "topics", MR_OPT_TEXT, offsetof(struct options, topics), "deploy/topics.json", 1, 4096, NULL,
      "File that says how topics are made and how durable they must be.", false },
    { "policy", MR_OPT_TEXT, offsetof(struct options, policy), "", 0, 4096, NULL,
      "File of principals, what they show and what they may do; none: everybody may do all.",
      false },
    { "auto-topics", MR_OPT_BOOL, offsetof(struct options, auto_topics), "false", 0, 0, NULL,
      "Makes the topics of a known kind when a client first posts to one.", false },
    { "linger-ms", MR_OPT_MS, offsetof(struct options, linger_ms), "2ms", 0, 1000, NULL,
      "An event waits so long for others to share a message to Kafka.", false },
    { "in-flight-bytes", MR_OPT_BYTES, offsetof(struct options, in_flight_bytes), "24M",
      1024 * 1024, (int64_t)4 << 30, NULL,
      "Bytes of events without Kafka's acknowledgement; beyond it clients get 503.", false },
    { "strict", MR_OPT_TEXT, offsetof(struct options, strict), "", 0, 4096, NULL,
      "Events that are checked by their contract at the door: a1b2c3, a1b2c3.pin, *.pin or *, with "
      "commas between; clients get 422, and contracts are read again at SIGHUP.",
      false },
    { "query", MR_OPT_TEXT, offsetof(struct options, query), "", 0, 256, NULL,
      "The query service, tcp://HOST:PORT, for clients that post with ?wait=visible.", false },
    { "receipts-bytes", MR_OPT_BYTES, offsetof(struct options, receipts_bytes), "8M", 0,
      RECEIPTS_BYTES_MAX, NULL,
      "Memory for receipts of events with an id or Idempotency-Key, 72 bytes each; 0: none.",
      false },
    { "access-log", MR_OPT_TEXT, offsetof(struct options, access_log), "errors", 1, 16, NULL,
      "Requests that get a line in the log: off, errors (answered 400 and above), all, or a number "
      "N: each Nth, and all answered 500 and above.",
      false },
    { "insecure", MR_OPT_BOOL, offsetof(struct options, insecure), "false", 0, 0, NULL,
      "Allows to listen beyond loopback without authentication and TLS.", false },
    { 0 },
};

struct process {
    struct options options;
    struct mr_plan *plan;
    struct mr_bus *bus;
    struct door *door;
};

static int
step(void *self, struct mr_err *err)
{
    struct process *p = self;
    (void)err;
    return door_step(p->door, STEP_MS);
}

/* Called until all is answered: the service's deadline ends what takes too long. */
static int
drain(void *self, struct mr_err *err)
{
    struct process *p = self;
    (void)err;
    while (!door_drain(p->door, STEP_MS))
        continue;
    return 0;
}

static bool
ready(void *self, char *ret_why, size_t size)
{
    struct process *p = self;
    return door_ready(p->door, ret_why, size);
}

static void
status(void *self, struct mr_buf *ret_json)
{
    struct process *p = self;
    door_status(p->door, ret_json);
}

static int
reload(void *self, struct mr_err *err)
{
    struct process *p = self;
    return door_reload(p->door, err);
}

static const struct mr_service_ops ops = { step, drain, reload, ready, status, NULL };

static int
open_parts(struct process *p, struct mr_service *service, struct mr_err *err)
{
    const struct options *options = &p->options;
    struct mr_bus_options bus = { options->service.bootstrap, options->service.kafka_config, name };
    char host[HOST_BYTES];
    int port;

    if (mr_conf_addr(options->listen, host, sizeof(host), &port, err) != 0 ||
        options_check_listen(options, host, err) != 0 ||
        mr_plan_open(options->topics, &p->plan, err) != 0 || mr_bus_open(&bus, &p->bus, err) != 0)
        return err->code;
    struct door_options door = {
        .bus = p->bus,
        .plan = p->plan,
        .host = host,
        .port = port,
        .kinds = options->service.kinds,
        .strict = options->strict,
        .query = options->query,
        .policy = options->policy,
        .auto_topics = options->auto_topics,
        .linger_ms = (int)options->linger_ms,
        .in_flight_bytes_max = options->in_flight_bytes,
        .receipts_bytes_max = options->receipts_bytes,
        .access_log = options->access_log,
        .metrics = mr_service_metrics(service),
    };
    if (options_apply(options, &door, err) != 0 || door_open(&door, &p->door, err) != 0)
        return err->code;
    mr_log(MR_LOG_INFO, "listening", " address=%s:%d tls=%s", host, door_port(p->door),
           door.tls.cert != NULL ? "true" : "false");
    return 0;
}

int
main(int argc, char **argv)
{
    static struct process p;
    struct mr_service *service = NULL;
    struct mr_err err = { 0 };
    const struct mr_metric *const tables[] = { gateway_metrics, NULL };
    const size_t counts[] = { gateway_metrics_count };
    const struct mr_conf conf = { .process = name,
                                  .summary = "Takes events over HTTP and answers when Kafka has "
                                             "stored them.",
                                  .tables = { mr_service_opts, options_table, options_http, NULL },
                                  .metrics = tables,
                                  .metrics_counts = counts };

    int result = mr_conf_load(&conf, &p.options, argc, argv, &err);
    if (result > 0)
        return 0;
    if (result < 0 ||
        mr_service_open(name, &p.options.service, tables, counts, &service, &err) != 0 ||
        open_parts(&p, service, &err) != 0)
        return mr_service_refuse(name, &err);
    int code = mr_service_run(service, &ops, &p);
    door_close(p.door);
    mr_bus_close(p.bus);
    mr_plan_close(p.plan);
    return code;
}
