/*
 * The options that all processes have.
 */
#include "service/service.h"

const struct mr_opt mr_service_opts[] = {
    { "bootstrap", MR_OPT_TEXT, offsetof(struct mr_service_options, bootstrap), "127.0.0.1:9092", 1,
      4096, NULL, "Kafka brokers to start from, host:port with commas between.", false },
    { "kafka-config", MR_OPT_TEXT, offsetof(struct mr_service_options, kafka_config), "", 0, 4096,
      NULL, "Properties file for the connection to Kafka (security.protocol, sasl.*).", false },
    { "store", MR_OPT_TEXT, offsetof(struct mr_service_options, store), "", 0, 4096, NULL,
      "Objects and tables: file:DIR or s3://BUCKET[/PREFIX].", false },
    { "s3-endpoint", MR_OPT_TEXT, offsetof(struct mr_service_options, s3_endpoint), "", 0, 4096,
      NULL, "URL of an S3 server other than AWS.", false },
    { "kinds", MR_OPT_TEXT, offsetof(struct mr_service_options, kinds), "/usr/share/millrace/kinds",
      1, 4096, NULL, "Folder of kinds, made by tools/kinds.", false },
    { "pipeline", MR_OPT_TEXT, offsetof(struct mr_service_options, pipeline), "millrace", 1, 64,
      NULL, "Name of this pipeline in consumer groups and tables.", false },
    { "instance", MR_OPT_TEXT, offsetof(struct mr_service_options, instance), "", 0, 64, NULL,
      "Name of this process among those of its stage, unique and stable; none: the host name.",
      false },
    { "admin", MR_OPT_ADDR, offsetof(struct mr_service_options, admin), "127.0.0.1:0", 0, 0, NULL,
      "Admin port (/live /ready /metrics /status); port 0 takes a free one.", false },
    { "rpc", MR_OPT_TEXT, offsetof(struct mr_service_options, rpc), "tcp://127.0.0.1:0", 0, 256,
      NULL, "Where other processes call this one; port 0 takes a free one.", false },
    { "log-level", MR_OPT_CHOICE, offsetof(struct mr_service_options, log_level), "info", 0, 0,
      "error|warn|info|debug", "Most verbose lines on stderr.", false },
    { "drain-ms", MR_OPT_MS, offsetof(struct mr_service_options, drain_ms), "20s", 100, 600000,
      NULL, "How long finishing may take after SIGTERM before the process exits with 1.", false },
    { "memory", MR_OPT_BYTES, offsetof(struct mr_service_options, memory), "128M",
      (int64_t)16 << 20, (int64_t)1 << 40, NULL,
      "Budget of what the process allocates; its queues and batches are shares of it. Programs and "
      "libraries that are mapped come on top.",
      false },
    { 0 },
};
