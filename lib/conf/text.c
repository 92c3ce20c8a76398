/*
 * --help and --reference, both made from the table.
 */
#include <stdio.h>

#include "conf/private.h"

void
conf_help(const struct mr_conf *conf, struct mr_buf *ret_text)
{
    mr_buf_printf(ret_text, "%s\n%s\n\nOptions (also as MILLRACE_NAME, or as keys of --config):\n",
                  conf->process, conf->summary);
    for (const struct mr_opt *opt = conf_next(conf, NULL); opt != NULL;
         opt = conf_next(conf, opt)) {
        MR_CLEANUP(mr_buf_fini) struct mr_buf range;
        mr_buf_init(&range, 256);
        mr_buf_text(&range, "");
        conf_range(opt, &range);
        mr_buf_printf(ret_text, "  --%-18s %s", opt->name, opt->help);
        mr_buf_printf(ret_text, " [%s%s%s%s%s]\n", conf_kind(opt), range.size > 0 ? " " : "",
                      range.data, opt->default_value != NULL ? "; default " : "; must be given",
                      opt->default_value != NULL && opt->default_value[0] == '\0' ? "none"
                      : opt->default_value != NULL ? opt->default_value
                                                   : "");
    }
    mr_buf_text(ret_text, "  --config             JSON file with options by name.\n"
                          "  --help, --version, --reference\n");
}

void
mr_conf_reference(const struct mr_conf *conf, struct mr_buf *ret_markdown)
{
    mr_buf_printf(ret_markdown,
                  "# %s\n\n%s\n\n| option | variable | kind | range | default | meaning |\n"
                  "|---|---|---|---|---|---|\n",
                  conf->process, conf->summary);
    for (const struct mr_opt *opt = conf_next(conf, NULL); opt != NULL;
         opt = conf_next(conf, opt)) {
        char variable[128];
        MR_CLEANUP(mr_buf_fini) struct mr_buf range;
        mr_buf_init(&range, 256);
        mr_buf_text(&range, "");
        conf_range(opt, &range);
        conf_variable(opt->name, variable, sizeof(variable));
        mr_buf_printf(ret_markdown, "| `--%s` | `%s` | %s |", opt->name, variable, conf_kind(opt));
        for (const char *c = range.data; *c != '\0'; c++)
            mr_buf_printf(ret_markdown, "%s%s%c", c == range.data ? " " : "", *c == '|' ? "\\" : "",
                          *c);
        mr_buf_printf(ret_markdown, " | %s | %s |\n",
                      opt->default_value != NULL ? opt->default_value : "must be given", opt->help);
    }
    mr_buf_text(ret_markdown,
                "| `--config` | `MILLRACE_CONFIG` | text | |  | JSON file with options "
                "by name; flags and variables beat it. |\n");
    if (conf->metrics == NULL)
        return;
    mr_buf_text(ret_markdown, "\n## Metrics\n");
    for (size_t i = 0; conf->metrics[i] != NULL; i++) {
        mr_buf_text(ret_markdown, "\n");
        mr_metrics_reference(conf->metrics[i], conf->metrics_counts[i], ret_markdown);
    }
}
