/*
 * Options that several commands share, and how a command refuses.
 */
#include <stdio.h>

#include "cli.h"

const struct mr_opt cli_options_table[] = {
    { "bootstrap", MR_OPT_TEXT, offsetof(struct cli_options, bootstrap), "127.0.0.1:9092", 1, 4096,
      NULL, "Kafka brokers to start from.", false },
    { "kafka-config", MR_OPT_TEXT, offsetof(struct cli_options, kafka_config), "", 0, 4096, NULL,
      "Properties file for the connection to Kafka.", false },
    { "store", MR_OPT_TEXT, offsetof(struct cli_options, store), "", 0, 4096, NULL,
      "Objects and tables: file:DIR or s3://BUCKET[/PREFIX].", false },
    { "s3-endpoint", MR_OPT_TEXT, offsetof(struct cli_options, s3_endpoint), "", 0, 4096, NULL,
      "URL of an S3 server other than AWS.", false },
    { "kinds", MR_OPT_TEXT, offsetof(struct cli_options, kinds), "/usr/share/millrace/kinds", 1,
      4096, NULL, "Folder of kinds, made by tools/kinds.", false },
    { "pipeline", MR_OPT_TEXT, offsetof(struct cli_options, pipeline), "millrace", 1, 64, NULL,
      "Name of the pipeline.", false },
    { "query", MR_OPT_TEXT, offsetof(struct cli_options, query), "tcp://127.0.0.1:9700", 1, 256,
      NULL, "Address of millrace-query.", false },
    { "tenant", MR_OPT_TEXT, offsetof(struct cli_options, tenant), "", 0, 64, NULL,
      "Whose events; none: all, or the only one there is.", false },
    { 0 },
};

int
cli_load(const char *command, const char *summary, const struct mr_opt *table, void *options,
         int argc, char **argv, int *ret_count, char ***ret_rest, struct mr_err *err)
{
    const struct mr_conf conf = { .process = command,
                                  .summary = summary,
                                  .tables = { cli_options_table, table, NULL },
                                  .ret_rest_count = ret_count,
                                  .ret_rest = ret_rest };
    struct cli_options *common = options;
    int result = mr_conf_load(&conf, options, argc, argv, err);
    if (result != 0)
        return result;
    if (common->kafka_config[0] == '\0')
        common->kafka_config = NULL;
    if (common->s3_endpoint[0] == '\0')
        common->s3_endpoint = NULL;
    return 0;
}

int
cli_refuse(const struct mr_err *err)
{
    (void)fprintf(stderr, "millrace: %s\n", err->text);
    return err->code == MR_E(INVALID) ? EXIT_MISUSE : EXIT_FAILED;
}
