#include "broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static int
run(const char *command, char *ret_line, size_t size)
{
    FILE *out = popen(command, "r");
    if (out == NULL)
        return -1;
    char line[BROKER_TEXT_MAX];
    ret_line[0] = '\0';
    while (fgets(line, sizeof(line), out) != NULL)
        (void)snprintf(ret_line, size, "%.*s", (int)strcspn(line, "\n"), line);
    int status = pclose(out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
write_extra(const struct broker *broker, const char *extra)
{
    char path[2 * BROKER_TEXT_MAX];
    (void)snprintf(path, sizeof(path), "%s.props", broker->dir);
    FILE *file = fopen(path, "w");
    if (file == NULL || fputs(extra != NULL ? extra : "", file) < 0 || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static const char *
source(void)
{
    const char *folder = getenv("MILLRACE_SOURCE");
    return folder != NULL ? folder : ".";
}

void
broker_start(struct broker *broker, const char *extra)
{
    char command[4 * BROKER_TEXT_MAX];
    const char *version = getenv("MILLRACE_KAFKA");
    (void)snprintf(broker->dir, sizeof(broker->dir), "/tmp/millrace-kafka-XXXXXX");
    if (mkdtemp(broker->dir) == NULL) {
        perror(broker->dir);
        exit(1);
    }
    write_extra(broker, extra);
    (void)snprintf(command, sizeof(command), "%s/tools/kafka start --dir %s --props %s.props%s%s",
                   source(), broker->dir, broker->dir, version != NULL ? " --version " : "",
                   version != NULL ? version : "");
    if (run(command, broker->bootstrap, sizeof(broker->bootstrap)) != 0) {
        (void)fprintf(stderr, "no broker: %s\n", command);
        exit(1);
    }
}

bool
broker_tool(const struct broker *broker, const char *command, const char *arguments)
{
    char line[BROKER_TEXT_MAX], text[8 * BROKER_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "%s/tools/kafka %s --dir %s %s", source(), command,
                   broker->dir, arguments);
    return run(text, line, sizeof(line)) == 0;
}

void
broker_stop(struct broker *broker)
{
    char command[4 * BROKER_TEXT_MAX], line[BROKER_TEXT_MAX];
    (void)broker_tool(broker, "kill", "");
    (void)snprintf(command, sizeof(command), "rm -rf %s %s.props", broker->dir, broker->dir);
    (void)run(command, line, sizeof(line));
}
