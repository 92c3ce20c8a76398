/*
 * millrace: the command that people type. The first word chooses the command.
 */
#include <stdio.h>

#include "cli.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    { "emulate", command_emulate, "post the emulated producer's events to a gateway" },
    { "topics", command_topics, "list topics, or create those of a tenant" },
    { "query", command_query, "ask SQL, or a saved question by its name" },
    { "check", command_check, "judge and clean events offline, by a kind's contract" },
    { "tail", command_tail, "follow a topic, each record as JSON" },
    { "status", command_status, "the law and the lag, per tenant, kind and stage" },
    { "dead", command_dead, "list, count or show the events that could not be used" },
    { "replay", command_replay, "play dead letters again" },
    { "verify", command_verify, "check from the records that nothing is lost or doubled" },
};

static void
usage(FILE *out)
{
    (void)fprintf(out, "usage: millrace COMMAND [options]\n\n");
    for (size_t i = 0; i < MR_COUNT(commands); i++)
        (void)fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    (void)fprintf(out, "  %-9s print the version\n\nmillrace COMMAND --help says more.\n",
                  "version");
}

int
main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < MR_COUNT(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0) {
        printf("millrace %s\n", MILLRACE_VERSION);
        return EXIT_FINE;
    }
    bool asked = strcmp(name, "--help") == 0 || strcmp(name, "help") == 0;
    if (!asked && name[0] != '\0')
        (void)fprintf(stderr, "millrace: \"%s\" is not a command\n", name);
    usage(asked ? stdout : stderr);
    return asked ? EXIT_FINE : EXIT_MISUSE;
}
