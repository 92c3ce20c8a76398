/*
 * A real broker for one test program: started by tools/kafka in a folder of its own on free ports,
 * stopped and removed at the end, also when the program crashes: the tests run in a child process,
 * the first one only waits for it. MILLRACE_KAFKA chooses its version.
 */
#ifndef MR_BROKER_H
#define MR_BROKER_H

#include <stdbool.h>

enum { BROKER_TEXT_MAX = 512 };

struct broker {
    char dir[BROKER_TEXT_MAX];
    char bootstrap[64];
};

/* extra: lines for its configuration, or NULL. Ends the program when it does not start. Returns in
 * the child; the program ends with the child's exit code. */
void broker_start(struct broker *broker, const char *extra);
/* tools/kafka COMMAND --dir .. [arguments]; true when it succeeds. */
bool broker_tool(const struct broker *broker, const char *command, const char *arguments);
/* SIGSTOP and SIGCONT. */
void broker_signal(const struct broker *broker, int signal);

#endif
