#include "broker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

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

bool
broker_tool(const struct broker *broker, const char *command, const char *arguments)
{
    char line[BROKER_TEXT_MAX], text[8 * BROKER_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "%s/tools/kafka %s --dir %s %s", source(), command,
                   broker->dir, arguments);
    return run(text, line, sizeof(line)) == 0;
}

static void
stop(const struct broker *broker)
{
    char command[4 * BROKER_TEXT_MAX], line[BROKER_TEXT_MAX];
    (void)broker_tool(broker, "kill", "");
    (void)snprintf(command, sizeof(command), "rm -rf %s %s.props", broker->dir, broker->dir);
    (void)run(command, line, sizeof(line));
}

/* Returns in the child only. */
static void
guard(const struct broker *broker)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        return;
    }
    (void)signal(SIGTERM, SIG_IGN);
    bool ended = child > 0 && waitpid(child, &status, 0) == child;
    stop(broker);
    if (ended && WIFSIGNALED(status))
        (void)fprintf(stderr, "the tests ended by signal %d\n", WTERMSIG(status));
    exit(ended && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
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
    guard(broker);
}

/* All threads of the process are stopped: from here on it answers nothing. */
static bool
is_stopped(long pid)
{
    char command[128], line[BROKER_TEXT_MAX];
    (void)snprintf(command, sizeof(command),
                   "! grep -L '^State:.T' /proc/%ld/task/*/status | grep .", pid);
    return run(command, line, sizeof(line)) == 0;
}

void
broker_signal(const struct broker *broker, int signal)
{
    char path[2 * BROKER_TEXT_MAX];
    long pid = 0;
    (void)snprintf(path, sizeof(path), "%s/pid", broker->dir);
    FILE *file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%ld", &pid) != 1 || kill((pid_t)pid, signal) != 0) {
        perror(path);
        exit(1);
    }
    (void)fclose(file);
    while (signal == SIGSTOP && !is_stopped(pid))
        continue;
}
