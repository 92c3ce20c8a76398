/*
 * A real broker for one test program: started by tools/kafka in a folder of its own on free ports,
 * stopped and removed at the end. MILLRACE_KAFKA chooses its version.
 */
#ifndef MR_BROKER_H
#define MR_BROKER_H

#include <stdbool.h>

enum { BROKER_TEXT_MAX = 512 };

struct broker {
    char dir[BROKER_TEXT_MAX];
    char bootstrap[64];
};

/* extra: lines for its configuration, or NULL. Ends the program when it does not start. */
void broker_start(struct broker *broker, const char *extra);
/* tools/kafka COMMAND --dir .. [arguments]; true when it succeeds. */
bool broker_tool(const struct broker *broker, const char *command, const char *arguments);
void broker_stop(struct broker *broker);

#endif
