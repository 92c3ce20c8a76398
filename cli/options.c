/*
 * Options that several commands share, and how a command refuses.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "cli.h"
#include "clock/clock.h"

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

static const int64_t second_us = 1000000;

/* Digits and one of s m h d; false: it is something else. */
static bool
read_age(const char *text, int64_t *ret_us)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
    enum { DIGITS_MAX = 6 };
    size_t digits = strspn(text, "0123456789");
    if (digits < 1 || digits > DIGITS_MAX || strlen(text) != digits + 1)
        return false;
    for (size_t i = 0; i < MR_COUNT(units); i++) {
        if (text[digits] != units[i].letter)
            continue;
        int64_t count = 0;
        for (size_t d = 0; d < digits; d++)
            count = count * 10 + (text[d] - '0');
        *ret_us = count * units[i].seconds * second_us;
        return true;
    }
    return false;
}

int
cli_when(const char *option, const char *text, int64_t *ret_us, struct mr_err *err)
{
    int year, month, day, hour = 0, minute = 0, second = 0, date = 0, clock = 0, seconds = 0;
    int64_t age_us, days;
    if (read_age(text, &age_us)) {
        *ret_us = mr_wall_us() - age_us;
        return 0;
    }
    const char *end = text;
    if (sscanf(end, "%4d-%2d-%2d%n", &year, &month, &day, &date) == 3 && date == 10) {
        end += date;
        if ((*end == 'T' || *end == ' ') && isdigit((unsigned char)end[1]) &&
            sscanf(end + 1, "%2d:%2d%n", &hour, &minute, &clock) == 2 && clock == 5)
            end += 1 + clock;
        if (clock == 5 && sscanf(end, ":%2d%n", &second, &seconds) == 1 && seconds == 3)
            end += seconds;
        end += clock == 5 && *end == 'Z';
    }
    if (date != 10 || *end != '\0' || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
        second < 0 || second > 59 || !mr_days_from_civil(year, month, day, &days))
        return mr_fail(
            err, MR_E(INVALID), MR_FATAL,
            "--%s %s is no time: give 2026-02-28, 2026-02-28T23:59:59 (UTC), or how long "
            "ago: 90s, 15m, 2h, 7d",
            option, text);
    *ret_us = (((days * 24 + hour) * 60 + minute) * 60 + second) * second_us;
    return 0;
}

int
cli_refuse(const struct mr_err *err)
{
    (void)fprintf(stderr, "millrace: %s\n", err->text);
    return err->code == MR_E(INVALID) ? EXIT_MISUSE : EXIT_FAILED;
}
