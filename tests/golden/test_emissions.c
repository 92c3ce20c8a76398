/*
 * The real records, where they are at hand: all are good, and clean.sql takes each.
 */
#include "clean/clean.h"
#include "contract/contract.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "test.h"

enum { EMISSIONS = 1333, LINE_BYTES_MAX = 1 << 20 };

static struct mr_contracts *contracts;
static struct mr_clean *clean;
static struct mr_buf record, key;

/* All as one batch. */
static void
every_record_of(const char *kind_name, FILE *file)
{
    struct mr_clean_kind *kind = mr_clean_find(clean, kind_name);
    const struct mr_kind *contract = mr_contracts_find(contracts, kind_name);
    struct mr_columns *rows = mr_columns_new(&contract->input);
    struct mr_verdict verdict;
    struct mr_cleaned cleaned;
    struct mr_err err = { 0 };
    char *line = NULL;
    size_t capacity = 0;
    rewind(file);
    while (getline(&line, &capacity, file) > 0) {
        json_t *emission = json_loads(line, 0, NULL);
        assert_non_null(emission);
        char *value = json_dumps(json_object_get(emission, kind_name), JSON_ENSURE_ASCII);
        if (mr_contract_check(contract, mr_slice_text(value), &record, &key, &verdict) != 0)
            fail_msg("%s: %s", value, verdict.reason);
        assert_true(key.size > 0);
        assert_int_equal(mr_contract_decode(contract, MR_INPUT, mr_buf_slice(&record), rows, &err),
                         0);
        free(value);
        json_decref(emission);
    }
    free(line);
    assert_int_equal(rows->rows, EMISSIONS);
    if (mr_clean_run(kind, rows, &cleaned, &err) != 0)
        fail_msg("%s", err.text);
    if (cleaned.errors_count > 0)
        fail_msg("row %zu: %s", cleaned.errors[0].row, cleaned.errors[0].text);
    assert_int_equal(cleaned.rows->rows, EMISSIONS);
    mr_columns_free(rows);
}

static void
every_real_record_is_good_and_can_be_cleaned(void **state)
{
    (void)state;
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/../shared/data/emissions_seed100.ndjson",
                   getenv("MILLRACE_SOURCE"));
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        print_message("%s is not there: nothing was shown\n", path);
        skip();
    }
    every_record_of("pin", file);
    every_record_of("geo", file);
    every_record_of("user", file);
    (void)fclose(file);
}

static int
open_kinds(void **state)
{
    (void)state;
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_freep) char *dir = mr_printf("%s/kinds", getenv("MILLRACE_BUILD"));
    mr_buf_init(&record, LINE_BYTES_MAX);
    mr_buf_init(&key, LINE_BYTES_MAX);
    if (mr_contracts_open(dir, &contracts, &err) == 0 &&
        mr_clean_open(contracts, 0, &clean, &err) == 0)
        return 0;
    print_error("%s\n", err.text);
    return -1;
}

static int
close_kinds(void **state)
{
    (void)state;
    mr_clean_close(clean);
    mr_contracts_close(contracts);
    mr_buf_fini(&record);
    mr_buf_fini(&key);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_real_record_is_good_and_can_be_cleaned),
    };
    return cmocka_run_group_tests(tests, open_kinds, close_kinds);
}
