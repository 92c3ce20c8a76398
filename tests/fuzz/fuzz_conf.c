/*
 * Options: an input that begins with a brace is the file of --config, any other is one flag a line.
 * Whatever comes, values are in their ranges, or there is one line that says why not.
 */
#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FLAGS_MAX = 16 };

struct options {
    const char *name, *listen, *level;
    int64_t batch, bytes, wait_ms;
    bool fast;
};

#define AT(member) offsetof(struct options, member)

static const struct mr_opt table[] = {
    { "name", MR_OPT_TEXT, AT(name), "none", 2, 8, NULL, "Name.", false },
    { "listen", MR_OPT_ADDR, AT(listen), "", 0, 0, NULL, "Address.", false },
    { "log-level", MR_OPT_CHOICE, AT(level), "info", 0, 0, "error|info", "Level.", false },
    { "batch-max", MR_OPT_INT, AT(batch), "1000", 1, 10000, NULL, "Batch.", false },
    { "bytes", MR_OPT_BYTES, AT(bytes), "64M", 1024, (int64_t)1 << 40, NULL, "Bytes.", false },
    { "wait", MR_OPT_MS, AT(wait_ms), "20ms", 0, 60000, NULL, "Wait.", false },
    { "fast", MR_OPT_BOOL, AT(fast), "false", 0, 0, NULL, "Fast.", false },
    { 0 },
};

static int
split_lines(char *text, char **ret_lines)
{
    int count = 0;
    char *rest;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL && count < FLAGS_MAX;
         line = strtok_r(NULL, "\n", &rest))
        if (strcmp(line, "--help") != 0 && strcmp(line, "--reference") != 0 &&
            strcmp(line, "--version") != 0 && strncmp(line, "--config", 8) != 0)
            ret_lines[count++] = line;
    return count;
}

static void
judge(int result, const struct options *options, const struct mr_err *err)
{
    if (result != 0) {
        MR_ASSERT(result == err->code);
        MR_ASSERT(err->text[0] != '\0');
        return;
    }
    size_t length = strlen(options->name);
    MR_ASSERT(length >= 2 && length <= 8);
    MR_ASSERT(options->batch >= 1 && options->batch <= 10000);
    MR_ASSERT(options->bytes >= 1024 && options->bytes <= (int64_t)1 << 40);
    MR_ASSERT(options->wait_ms >= 0 && options->wait_ms <= 60000);
    MR_ASSERT(strcmp(options->level, "error") == 0 || strcmp(options->level, "info") == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    struct options options = { 0 };
    struct mr_err err = { 0 };
    char path[32], *argv[FLAGS_MAX + 2] = { (char *)"fuzz" }, **rest = NULL;
    int argc, rest_count;
    const struct mr_conf conf = { "fuzz", "", { table, NULL }, &rest_count, &rest, NULL, NULL };
    MR_CLEANUP(mr_freep) char *text = mr_strndup((const char *)data, size);

    if (file < 0)
        file = memfd_create("conf", 0);
    if (size > 0 && data[0] == '{') {
        MR_ASSERT(ftruncate(file, 0) == 0);
        MR_ASSERT(pwrite(file, data, size, 0) == (ssize_t)size);
        (void)snprintf(path, sizeof(path), "--config=/proc/self/fd/%d", file);
        argv[1] = path;
        argc = 2;
    } else {
        argc = 1 + split_lines(text, argv + 1);
    }
    judge(mr_conf_load(&conf, &options, argc, argv, &err), &options, &err);
    free(rest);
    return 0;
}
