#include "events.h"

#include <stdio.h>
#include <stdlib.h>

void
events_load(struct events *events, const char *path)
{
    static char line[EVENT_BYTES_MAX];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    events->count = 0;
    while (events->count < EVENTS_MAX && fgets(line, sizeof(line), file) != NULL) {
        size_t size = strcspn(line, "\n");
        char *copy = mr_strndup(line, size), *mark = strstr(copy, EVENT_MARK);
        if (mark == NULL) {
            (void)fprintf(stderr, "%s: a line has no " EVENT_MARK "\n", path);
            exit(2);
        }
        events->at[events->count] = mr_slice(copy, size);
        events->digits[events->count++] = mark;
    }
    (void)fclose(file);
    if (events->count == 0) {
        (void)fprintf(stderr, "%s is empty\n", path);
        exit(2);
    }
}

struct mr_slice
events_at(struct events *events, uint64_t number)
{
    size_t line = number % events->count;
    for (int i = EVENT_DIGITS - 1; i >= 0; i--, number /= 10)
        events->digits[line][i] = (char)('0' + number % 10);
    return events->at[line];
}
