/*
 * Runs the golden cases of the kinds: what would validator and cleaner make of each event?
 *   golden [--update] KINDS_DIR CASES_DIR KIND
 *
 * CASES_DIR/<kind>/cases/x.case: three lines a case: event; good or dead; the cleaned row as JSON,
 * or the reason's code and field. A blank line between cases, # begins a comment. Each file is
 * written anew in memory with what comes out now; a file that reads differently has failed, or is
 * replaced by --update, so that the difference is reviewed like any other. The same goes for the
 * part of CASES_DIR/<kind>/README.md behind its marker, which is the kind's reference page.
 */
#include "clean/clean.h"
#include "contract/contract.h"

#include <glob.h>
#include <millrace/v1/event.pb-c.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_BYTES_MAX = 1 << 20 };

struct runner {
    struct mr_clean_kind *kind;
    struct mr_columns *input;
    struct mr_buf record, key, text;
    size_t cases, failed;
    bool update;
};

static void
stop(const struct mr_err *err)
{
    (void)fprintf(stderr, "golden: %s\n", err->text);
    exit(2);
}

/* The second and third line of a case. */
static void
put_outcome(struct runner *runner, struct mr_slice event, struct mr_buf *to)
{
    const struct mr_kind *contract = mr_clean_contract(runner->kind);
    struct mr_verdict verdict = { 0 };
    struct mr_cleaned cleaned;
    struct mr_err err = { 0 };
    if (mr_contract_check(contract, event, &runner->record, &runner->key, &verdict) != 0) {
        const char *code =
            protobuf_c_enum_descriptor_get_value(&millrace__v1__dead_code__descriptor, verdict.code)
                ->name;
        mr_buf_printf(to, "dead\n%s%s%s\n", code, verdict.field[0] != '\0' ? " " : "",
                      verdict.field);
        return;
    }
    mr_columns_reset(runner->input);
    if (mr_contract_decode(contract, MR_INPUT, mr_buf_slice(&runner->record), runner->input,
                           &err) != 0 ||
        mr_clean_run(runner->kind, runner->input, &cleaned, &err) != 0)
        stop(&err);
    if (cleaned.errors_count > 0) {
        mr_buf_text(to, "dead\nRULE_FAILED\n");
        return;
    }
    mr_buf_text(to, "good\n");
    mr_contract_json(&contract->output, cleaned.rows, 0, to);
    mr_buf_text(to, "\n");
}

/* Takes the next line, without its end, off *rest. */
static struct mr_slice
next_line(const char **rest)
{
    const char *line = *rest, *end = strchrnul(line, '\n');
    *rest = *end != '\0' ? end + 1 : end;
    return mr_slice(line, (size_t)(end - line));
}

static void
run_case(struct runner *runner, const char *path, struct mr_slice event, const char **rest)
{
    size_t from = runner->text.size;
    const char *expected = *rest;
    (void)next_line(rest);
    (void)next_line(rest);
    put_outcome(runner, event, &runner->text);
    runner->cases++;
    if (mr_slice_is(mr_slice(expected, (size_t)(*rest - expected)),
                    mr_slice(runner->text.data + from, runner->text.size - from)))
        return;
    runner->failed++;
    printf("%s\n%.*s\nexpected:\n%.*sbut it is:\n%s\n", path, (int)event.size,
           (const char *)event.data, (int)(*rest - expected), expected, runner->text.data + from);
}

static void
read_file(const char *path, struct mr_buf *ret)
{
    FILE *file = fopen(path, "re");
    char part[4096];
    for (size_t got; file != NULL && (got = fread(part, 1, sizeof(part), file)) > 0;)
        mr_buf_put(ret, part, got);
    if (file == NULL || fclose(file) != 0 || ret->failed || ret->size == 0) {
        (void)fprintf(stderr, "golden: %s cannot be read\n", path);
        exit(2);
    }
}

static void
write_file(const char *path, struct mr_slice text)
{
    FILE *file = fopen(path, "we");
    if (file == NULL || fwrite(text.data, 1, text.size, file) != text.size || fclose(file) != 0) {
        perror(path);
        exit(2);
    }
}

static void
run_file(struct runner *runner, const char *path)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf before;
    mr_buf_init(&before, FILE_BYTES_MAX);
    read_file(path, &before);
    mr_buf_reset(&runner->text);
    for (const char *rest = before.data; *rest != '\0';) {
        struct mr_slice line = next_line(&rest);
        mr_buf_put(&runner->text, line.data, line.size);
        mr_buf_text(&runner->text, "\n");
        if (line.size > 0 && *(const char *)line.data != '#')
            run_case(runner, path, line, &rest);
    }
    if (runner->update)
        write_file(path, mr_buf_slice(&runner->text));
}

static void
run_kind(struct runner *runner, const char *pattern)
{
    glob_t files = { 0 };
    if (glob(pattern, 0, NULL, &files) != 0) {
        (void)fprintf(stderr, "golden: no file is named %s\n", pattern);
        exit(2);
    }
    for (size_t i = 0; i < files.gl_pathc; i++)
        run_file(runner, files.gl_pathv[i]);
    globfree(&files);
}

static void
run_readme(struct runner *runner, const char *path)
{
    static const char marker[] = "<!-- written by golden --update -->\n\n";
    MR_CLEANUP(mr_buf_fini) struct mr_buf before;
    mr_buf_init(&before, FILE_BYTES_MAX);
    read_file(path, &before);
    const char *page = strstr(before.data, marker);
    if (page == NULL) {
        (void)fprintf(stderr, "golden: %s has no line %s", path, marker);
        exit(2);
    }
    mr_buf_reset(&runner->text);
    mr_buf_put(&runner->text, before.data, (size_t)(page - before.data) + strlen(marker));
    mr_contract_reference(mr_clean_contract(runner->kind), &runner->text);
    if (runner->update)
        write_file(path, mr_buf_slice(&runner->text));
    if (mr_slice_is(mr_buf_slice(&before), mr_buf_slice(&runner->text)))
        return;
    runner->failed++;
    printf("%s is not what the contract says: golden --update writes it\n", path);
}

int
main(int argc, char **argv)
{
    struct runner runner = { 0 };
    struct mr_contracts *contracts = NULL;
    struct mr_clean *clean = NULL;
    struct mr_err err = { 0 };
    runner.update = argc > 1 && strcmp(argv[1], "--update") == 0;
    argv += runner.update;
    if (argc - runner.update != 4) {
        (void)fprintf(stderr, "usage: golden [--update] KINDS_DIR CASES_DIR KIND\n");
        return 2;
    }
    if (mr_contracts_open(argv[1], &contracts, &err) != 0 ||
        mr_clean_open(contracts, 0, &clean, &err) != 0)
        stop(&err);
    runner.kind = mr_clean_find(clean, argv[3]);
    if (runner.kind == NULL) {
        (void)fprintf(stderr, "golden: there is no kind %s\n", argv[3]);
        return 2;
    }
    runner.input = mr_columns_new(&mr_clean_contract(runner.kind)->input);
    mr_buf_init(&runner.record, 2 * FILE_BYTES_MAX);
    mr_buf_init(&runner.key, 2 * FILE_BYTES_MAX);
    mr_buf_init(&runner.text, 2 * FILE_BYTES_MAX);
    MR_CLEANUP(mr_freep) char *pattern = mr_printf("%s/%s/cases/*.case", argv[2], argv[3]);
    MR_CLEANUP(mr_freep) char *readme = mr_printf("%s/%s/README.md", argv[2], argv[3]);
    run_kind(&runner, pattern);
    run_readme(&runner, readme);
    printf("%zu cases of %s, %zu failed\n", runner.cases, argv[3], runner.failed);
    mr_buf_fini(&runner.record);
    mr_buf_fini(&runner.key);
    mr_buf_fini(&runner.text);
    mr_columns_free(runner.input);
    mr_clean_close(clean);
    mr_contracts_close(contracts);
    return runner.cases > 0 && (runner.failed == 0 || runner.update) ? 0 : 1;
}
