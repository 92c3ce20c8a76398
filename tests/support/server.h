/*
 * server: a server that a test starts and that ends with it, also when the test is killed: it is
 * to go on until its standard input ends.
 */
#ifndef MR_TEST_SERVER_H
#define MR_TEST_SERVER_H

#include <sys/types.h>

struct server {
    pid_t pid;
    int input;      /* its standard input */
    char line[256]; /* the first it printed: where it is */
};

/* Runs command in a shell and waits for its first line. 0, or -1 when it ended without one. */
int server_start(struct server *server, const char *command);
void server_stop(struct server *server); /* ends its input and waits for it */

#endif
