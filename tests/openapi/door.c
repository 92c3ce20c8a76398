/*
 * A gateway on a bus in memory, for tests from outside: prints its port, makes topics on first use
 * and serves until SIGTERM.
 */
#include "gate.h"

#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t is_over;

static void
end(int signal)
{
    (void)signal;
    is_over = 1;
}

int
main(void)
{
    struct gate gate;
    (void)signal(SIGTERM, end);
    gate_open(&gate, &(struct gate_wish){ .partitions = 3, .auto_topics = true });
    (void)printf("%d\n", door_port(gate.door));
    (void)fflush(stdout);
    while (!is_over)
        (void)door_step(gate.door, 100);
    gate_close(&gate);
    return 0;
}
