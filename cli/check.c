/*
 * Judges events by a kind's contract and cleans the good ones, offline: what validator and cleaner
 * would make of each line. Exit code 1 when one of them would be dead.
 */
#include <stdio.h>
#include <stdlib.h>

#include "clean/clean.h"
#include "cli.h"
#include "contract/contract.h"
#include "millrace/v1/event.pb-c.h"

enum { LINE_BYTES_MAX = 64 << 20 };

static const struct mr_opt table[] = { { 0 } };

struct checker {
    struct mr_clean_kind *kind;
    struct mr_columns *input;
    struct mr_buf record, key, json;
    struct mr_verdict verdict;
    size_t dead;
};

static void
say_dead(struct checker *c, const char *code, const char *reason)
{
    c->dead++;
    printf("dead  %s", code);
    if (c->verdict.field[0] != '\0')
        printf(" field=%s", c->verdict.field);
    if (c->verdict.value[0] != '\0')
        printf(" value=%s", c->verdict.value);
    printf(": %s\n", reason);
}

static int
check_line(struct checker *c, struct mr_slice line, struct mr_err *err)
{
    const struct mr_kind *contract = mr_clean_contract(c->kind);
    struct mr_cleaned cleaned;

    if (mr_contract_check(contract, line, &c->record, &c->key, &c->verdict) != 0) {
        say_dead(c,
                 protobuf_c_enum_descriptor_get_value(&millrace__v1__dead_code__descriptor,
                                                      c->verdict.code)
                     ->name,
                 c->verdict.reason);
        return 0;
    }
    mr_columns_reset(c->input);
    if (mr_contract_decode(contract, MR_INPUT, mr_buf_slice(&c->record), c->input, err) != 0 ||
        mr_clean_run(c->kind, c->input, &cleaned, err) != 0)
        return err->code;
    c->verdict = (struct mr_verdict){ 0 };
    if (cleaned.errors_count > 0) {
        say_dead(c, "RULE_FAILED", cleaned.errors[0].text);
        return 0;
    }
    mr_buf_reset(&c->json);
    mr_contract_json(&contract->output, cleaned.rows, 0, &c->json);
    printf("good  %s\n", c->json.data);
    return 0;
}

static int
check_file(struct checker *c, FILE *file, struct mr_err *err)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    while (err->code == 0 && (length = getline(&line, &capacity, file)) > 0) {
        if (line[length - 1] == '\n')
            length--;
        (void)check_line(c, mr_slice(line, (size_t)length), err);
    }
    free(line);
    return err->code;
}

static int
check(const struct cli_options *options, const char *kind, const char *path, size_t *ret_dead,
      struct mr_err *err)
{
    MR_CLEANUP(mr_contracts_closep) struct mr_contracts *contracts = NULL;
    MR_CLEANUP(mr_clean_closep) struct mr_clean *clean = NULL;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *input = NULL;
    struct checker c = { 0 };
    if (mr_contracts_open(options->kinds, &contracts, err) != 0 ||
        mr_clean_open(contracts, 0, &clean, err) != 0)
        return err->code;
    c.kind = mr_clean_find(clean, kind);
    if (c.kind == NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "kind %s has no folder in %s", kind,
                       options->kinds);
    FILE *file = path != NULL ? fopen(path, "r") : stdin;
    if (file == NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s cannot be read", path);
    c.input = input = mr_columns_new(&mr_clean_contract(c.kind)->input);
    mr_buf_init(&c.record, LINE_BYTES_MAX);
    mr_buf_init(&c.key, LINE_BYTES_MAX);
    mr_buf_init(&c.json, LINE_BYTES_MAX);
    (void)check_file(&c, file, err);
    if (path != NULL)
        (void)fclose(file);
    mr_buf_fini(&c.record);
    mr_buf_fini(&c.key);
    mr_buf_fini(&c.json);
    *ret_dead = c.dead;
    return err->code;
}

int
command_check(int argc, char **argv)
{
    struct cli_options options = { 0 };
    struct mr_err err = { 0 };
    int rest_count = 0;
    char **rest = NULL;
    size_t dead = 0;
    int result = cli_load("millrace check KIND [FILE]",
                          "Judges and cleans events, one JSON value a line, offline.", table,
                          &options, argc, argv, &rest_count, &rest, &err);
    if (result > 0)
        return EXIT_FINE;
    if (result == 0 && (rest_count < 1 || rest_count > 2))
        result = mr_fail(&err, MR_E(INVALID), MR_FATAL, "check wants a kind and maybe a file");
    if (result == 0)
        result = check(&options, rest[0], rest_count > 1 ? rest[1] : NULL, &dead, &err);
    free(rest);
    if (result != 0)
        return cli_refuse(&err);
    return dead == 0 ? EXIT_FINE : EXIT_FAILED;
}
