#include "server.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

int
server_start(struct server *server, const char *command)
{
    int input[2], output[2];
    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0)
        return -1;
    server->pid = fork();
    if (server->pid == 0) {
        (void)dup2(input[0], STDIN_FILENO);
        (void)dup2(output[1], STDOUT_FILENO);
        (void)execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    (void)close(input[0]);
    (void)close(output[1]);
    server->input = input[1];
    size_t length = 0;
    char c = '\0';
    while (length + 1 < sizeof(server->line) && read(output[0], &c, 1) == 1 && c != '\n')
        server->line[length++] = c;
    server->line[length] = '\0';
    (void)close(output[0]);
    if (length > 0 && c == '\n')
        return 0;
    server_stop(server);
    return -1;
}

void
server_stop(struct server *server)
{
    int status = 0;
    (void)close(server->input);
    (void)waitpid(server->pid, &status, 0);
}
