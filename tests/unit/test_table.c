#include "table/table.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "table_fixture.h"
#include "test.h"

static int64_t
next_of(const struct mr_table *table)
{
    const struct mr_table_part *part = mr_table_part(table, FIXTURE_APP);
    return part != NULL ? part->next : -1;
}

static int64_t
rows_of(const struct mr_table *table)
{
    size_t count;
    int64_t rows = 0;
    const struct mr_table_file *files = mr_table_files(table, &count);
    for (size_t i = 0; i < count; i++)
        rows += files[i].rows;
    return rows;
}

/* The action of that name in a commit, in line order. Borrowed from ret_whole. */
static json_t *
action_of(const char *commit, const char *name, json_t **ret_whole)
{
    for (const char *line = commit; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        json_t *whole =
            json_loadb(line, end != NULL ? (size_t)(end - line) : strlen(line), 0, NULL);
        assert_non_null(whole);
        if (json_object_get(whole, name) != NULL) {
            *ret_whole = whole;
            return json_object_get(whole, name);
        }
        json_decref(whole);
        line = end != NULL ? end + 1 : NULL;
    }
    fail_msg("no %s in %s", name, commit);
    return NULL;
}

static void
missing_table_is_not_found_and_create_makes_version_0(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    struct mr_table *table = NULL;
    const struct mr_table_options options = { f->store, f->sql, FIXTURE_PATH, &fixture_schema,
                                              f->work };
    assert_int_equal(mr_table_open(&options, false, &table, &err), MR_E(NOT_FOUND));

    table = fixture_table(f, true);
    assert_int_equal(mr_table_version(table), 0);
    assert_true(mr_schema_is(mr_table_schema(table), &fixture_schema));
    MR_CLEANUP(mr_freep) char *commit = fixture_commit(f, 0);
    json_t *whole;
    json_t *metadata = action_of(commit, "metaData", &whole);
    assert_true(json_is_object(json_object_get(metadata, "configuration")));
    assert_string_equal(json_string_value(json_object_get(metadata, "schemaString")),
                        "{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\","
                        "\"nullable\":true,\"metadata\":{}},{\"name\":\"name\",\"type\":\"string\","
                        "\"nullable\":true,\"metadata\":{}}]}");
    json_decref(whole);
    mr_table_close(table);
}

static void
append_is_seen_by_the_next_who_opens(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    struct mr_table *table = fixture_table(f, true);

    assert_int_equal(fixture_append(f, table, 0, 10, &err), 0);
    assert_int_equal(fixture_append(f, table, 10, 25, &err), 0);
    mr_table_close(table);
    table = fixture_table(f, false);
    assert_int_equal(mr_table_version(table), 2);
    assert_int_equal(next_of(table), 25);
    assert_int_equal(rows_of(table), 25);
    assert_int_equal(mr_table_part(table, FIXTURE_APP)->good, 25);
    mr_table_close(table);
}

static void
commit_holds_what_every_reader_demands(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    struct mr_table *table = fixture_table(f, true);
    assert_int_equal(fixture_append(f, table, 0, 10, &err), 0);
    MR_CLEANUP(mr_freep) char *commit = fixture_commit(f, 1);
    json_t *whole, *add = action_of(commit, "add", &whole);

    const char *path = json_string_value(json_object_get(add, "path"));
    assert_int_equal(strspn(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._=/-"),
                     strlen(path));
    assert_true(json_is_object(json_object_get(add, "partitionValues")));
    assert_true(json_is_integer(json_object_get(add, "modificationTime")));
    assert_true(json_is_true(json_object_get(add, "dataChange")));
    MR_CLEANUP(mr_freep) char *key = mr_printf("%s/%s", FIXTURE_PATH, path);
    struct mr_object object;
    assert_int_equal(mr_store_head(f->store, key, &object, NULL, &err), 0);
    assert_int_equal(json_integer_value(json_object_get(add, "size")), object.bytes);
    assert_string_equal(json_string_value(json_object_get(add, "stats")),
                        "{\"numRecords\":10,\"minValues\":{\"id\":0,\"name\":\"n0\"},"
                        "\"maxValues\":{\"id\":9,\"name\":\"n9\"},"
                        "\"nullCount\":{\"id\":0,\"name\":0},\"tightBounds\":true}");
    json_decref(whole);
    json_t *info = action_of(commit, "commitInfo", &whole);
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(info, "operationParameters"), name, value)
        assert_true(json_is_string(value));
    json_object_foreach(json_object_get(info, "operationMetrics"), name, value)
        assert_true(json_is_string(value));
    json_t *range = json_object_get(
        json_object_get(json_object_get(info, "millrace"), "partitions"), "a.pin.clean/0");
    assert_int_equal(json_integer_value(json_object_get(range, "from")), 0);
    assert_int_equal(json_integer_value(json_object_get(range, "next")), 10);
    assert_int_equal(json_integer_value(json_object_get(range, "good")), 10);
    assert_string_equal(json_string_value(json_object_get(range, "topic_id")), "00ff");
    json_decref(whole);
    mr_table_close(table);
}

static void
second_writer_gets_conflict_then_stale(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    struct mr_table *one = fixture_table(f, true), *two = fixture_table(f, true);
    assert_int_equal(fixture_append(f, one, 0, 10, &err), 0);

    struct mr_err conflict = { 0 }, stale = { 0 };
    assert_int_equal(fixture_append(f, two, 0, 10, &conflict), MR_E(CONFLICT));
    assert_int_equal(mr_table_refresh(two, &err), 1);
    assert_int_equal(fixture_append(f, two, 0, 10, &stale), MR_E(STALE));
    assert_int_equal(fixture_append(f, two, 10, 20, &err), 0);
    assert_int_equal(mr_table_refresh(one, &err), 1);
    assert_int_equal(rows_of(one), 20);
    mr_table_close(one);
    mr_table_close(two);
}

static size_t
count_data_files(struct fixture *f)
{
    struct mr_object *objects;
    struct mr_err err = { 0 };
    size_t count;
    assert_int_equal(
        mr_store_list(f->store, FIXTURE_PATH "/part-", NULL, 10, &objects, &count, &err), 0);
    free(objects);
    return count;
}

static void
conflict_leaves_no_data_file_behind(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 }, conflict = { 0 };
    struct mr_table *one = fixture_table(f, true), *two = fixture_table(f, true);
    assert_int_equal(fixture_append(f, one, 0, 10, &err), 0);
    assert_int_equal(fixture_append(f, two, 0, 10, &conflict), MR_E(CONFLICT));
    assert_int_equal(count_data_files(f), 1);
    mr_table_close(one);
    mr_table_close(two);
}

static void
lost_answer_is_settled_by_the_commit_id(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    struct mr_table *table = fixture_table(f, true);

    fixture_fault = FAULT_LOST_AFTER;
    assert_int_equal(fixture_append(f, table, 0, 10, &err), 0);
    fixture_fault = FAULT_EXISTS_AFTER; /* a retry inside the store saw its own first try */
    assert_int_equal(fixture_append(f, table, 10, 20, &err), 0);
    assert_int_equal(mr_table_version(table), 2);
    assert_int_equal(rows_of(table), 20);
    mr_table_close(table);
}

static void
unknown_outcome_is_an_error_and_a_new_try_is_safe(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 }, lost = { 0 };
    struct mr_table *table = fixture_table(f, true);

    fixture_fault = FAULT_LOST_BEFORE;
    assert_int_equal(fixture_append(f, table, 0, 10, &lost), MR_E(TIMEOUT));
    assert_int_equal(lost.remedy, MR_RETRY);
    assert_int_equal(mr_table_version(table), 0);
    assert_int_equal(count_data_files(f), 1); /* a commit that comes late may name it */
    assert_int_equal(fixture_append(f, table, 0, 10, &err), 0);
    assert_int_equal(rows_of(table), 10);
    mr_table_close(table);
}

static void
partition_that_stands_twice_in_an_append_is_refused(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    struct mr_table *table = fixture_table(f, true);
    const struct mr_table_range ranges[] = {
        { FIXTURE_APP, "a.pin.clean", 0, "00ff", 0, 5, 0, 5, NULL },
        { FIXTURE_APP, "a.pin.clean", 0, "00ff", 5, 9, 0, 4, NULL },
    };
    assert_int_equal(mr_table_append(table, ranges, 2, NULL, 0, true, &err), MR_E(INVALID));
    assert_int_equal(mr_table_version(table), 0);
    mr_table_close(table);
}

static void
commit_without_rows_moves_the_partitions_it_names_only(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    struct mr_table *table = fixture_table(f, true);
    assert_int_equal(fixture_append(f, table, 0, 10, &err), 0);
    const struct mr_table_range other = {
        "millrace/C/T/a.pin.clean/1", "a.pin.clean", 1, "00ff", 0, 7, 0, 7, NULL
    };
    assert_int_equal(mr_table_append(table, &other, 1, NULL, 0, false, &err), 0);

    MR_CLEANUP(mr_freep) char *commit = fixture_commit(f, 2);
    assert_null(strstr(commit, "\"add\""));
    assert_null(strstr(commit, "\"txn\":{\"appId\":\"" FIXTURE_APP "\""));
    assert_int_equal(next_of(table), 10);
    const struct mr_table_part *part = mr_table_part(table, other.app_id);
    assert_int_equal(part->next, 7);
    assert_int_equal(part->repeated, 7);
    mr_table_close(table);
}

static void
checkpoint_alone_gives_the_same_snapshot(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    struct mr_table *table = fixture_table(f, true);
    for (int i = 0; i < MR_TABLE_CHECKPOINT_EVERY + 3; i++)
        assert_int_equal(fixture_append(f, table, i * 4, (i + 1) * 4, &err), 0);
    mr_table_close(table);
    /* Clean-up keeps the JSON of the checkpoint's own version. */
    for (int v = 0; v < MR_TABLE_CHECKPOINT_EVERY - 1; v++) {
        MR_CLEANUP(mr_freep) char *key = mr_printf(FIXTURE_PATH "/_delta_log/%020d.json", v);
        assert_int_equal(mr_store_remove(f->store, key, &err), 0);
    }

    table = fixture_table(f, false);
    assert_int_equal(mr_table_version(table), MR_TABLE_CHECKPOINT_EVERY + 3);
    assert_int_equal(next_of(table), (MR_TABLE_CHECKPOINT_EVERY + 3) * 4);
    assert_int_equal(rows_of(table), (MR_TABLE_CHECKPOINT_EVERY + 3) * 4);
    assert_int_equal(mr_table_part(table, FIXTURE_APP)->good, (MR_TABLE_CHECKPOINT_EVERY + 3) * 4);
    assert_int_equal(fixture_append(f, table, (MR_TABLE_CHECKPOINT_EVERY + 3) * 4, 1000, &err), 0);
    mr_table_close(table);
}

static void
second_checkpoint_stands_on_the_first(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    struct mr_table *table = fixture_table(f, true);
    assert_int_equal(fixture_append(f, table, 0, 10, &err), 0);
    assert_int_equal(mr_table_checkpoint(table, &err), 0);
    assert_int_equal(fixture_append(f, table, 10, 30, &err), 0);
    assert_int_equal(mr_table_checkpoint(table, &err), 0);
    mr_table_close(table);

    table = fixture_table(f, false);
    assert_int_equal(mr_table_version(table), 2);
    assert_int_equal(rows_of(table), 30);
    assert_int_equal(next_of(table), 30);
    assert_int_equal(mr_table_part(table, FIXTURE_APP)->good, 30);
    mr_table_close(table);
}

static void
pointer_that_leads_nowhere_is_passed_over(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    struct mr_table *table = fixture_table(f, true);
    assert_int_equal(fixture_append(f, table, 0, 10, &err), 0);
    mr_table_close(table);
    static const char *const texts[] = { "{\"version\":40,\"size\":1}", "not JSON", "" };
    for (size_t i = 0; i < MR_COUNT(texts); i++) {
        assert_int_equal(mr_store_put(f->store, FIXTURE_PATH "/_delta_log/_last_checkpoint",
                                      mr_slice_text(texts[i]), NULL, &err),
                         0);
        table = fixture_table(f, false);
        assert_int_equal(rows_of(table), 10);
        mr_table_close(table);
    }
}

static void
foreign_commits_between_ours_are_taken_in(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 }, conflict = { 0 };
    struct mr_table *table = fixture_table(f, true);
    assert_int_equal(fixture_append(f, table, 0, 10, &err), 0);
    size_t count;
    MR_CLEANUP(mr_freep) char *ours = mr_strdup(mr_table_files(table, &count)[0].path);
    /* An append and an OPTIMIZE as others write them: paths URI-encoded, no stats, .crc beside. */
    fixture_foreign(f, 2,
                    "{\"add\":{\"path\":\"a%20b/x%3Dy.parquet\",\"partitionValues\":{},\"size\":5,"
                    "\"modificationTime\":1,\"dataChange\":true}}\r\n\r\n");
    MR_CLEANUP(mr_freep)
    char *optimize = mr_printf("{\"remove\":{\"path\":\"%s\",\"dataChange\":false}}\n"
                               "{\"add\":{\"path\":\"part-00000-x.parquet\",\"size\":7,"
                               "\"stats\":\"{\\\"numRecords\\\":10}\",\"dataChange\":false}}\n"
                               "{\"commitInfo\":{\"operation\":\"OPTIMIZE\"}}",
                               ours);
    fixture_foreign(f, 3, optimize);
    assert_int_equal(mr_store_put(f->store,
                                  FIXTURE_PATH "/_delta_log/.00000000000000000003.json"
                                               ".crc",
                                  MR_SLICE("x"), NULL, &err),
                     0);

    assert_int_equal(fixture_append(f, table, 10, 20, &conflict), MR_E(CONFLICT));
    assert_int_equal(mr_table_refresh(table, &err), 2);
    const struct mr_table_file *files = mr_table_files(table, &count);
    assert_int_equal(count, 2);
    assert_string_equal(files[0].path, "a b/x=y.parquet");
    assert_int_equal(files[0].rows, -1);
    assert_string_equal(files[1].path, "part-00000-x.parquet");
    assert_int_equal(fixture_append(f, table, 10, 20, &err), 0);
    assert_int_equal(mr_table_part(table, FIXTURE_APP)->good, 20);
    mr_table_close(table);
}

static void
totals_survive_a_checkpoint_of_a_foreign_version(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    struct mr_table *table = fixture_table(f, true);
    assert_int_equal(fixture_append(f, table, 0, 10, &err), 0);
    fixture_foreign(f, 2, "{\"commitInfo\":{\"operation\":\"VACUUM END\"}}\n");
    assert_int_equal(mr_table_refresh(table, &err), 1);
    assert_int_equal(mr_table_checkpoint(table, &err), 0);
    mr_table_close(table);

    table = fixture_table(f, false);
    assert_int_equal(mr_table_part(table, FIXTURE_APP)->good, 10);
    mr_table_close(table);
}

static void
damaged_commit_leaves_the_snapshot_where_it_was(void **state)
{
    struct fixture *f = *state;
    struct mr_table *table = fixture_table(f, true);
    static const char *const texts[] = {
        "{\"add\":{\"path\":\"x\",\"size\":1}}\n{\"add\":{\"path\":\"y\"}}",
        "{\"add\":{\"path\":\"x\",\"size\":1}}\n{\"txn\":",
        "{\"txn\":{\"appId\":\"a\",\"version\":1}}\n{\"txn\":{\"appId\":\"a\",\"version\":2}}",
        "{\"metaData\":{\"schemaString\":\"{}\"}}",
        "{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7}}",
    };
    for (size_t i = 0; i < MR_COUNT(texts); i++) {
        struct mr_err err = { 0 }, none = { 0 };
        size_t count;
        fixture_foreign(f, 1, texts[i]);
        assert_true(mr_table_refresh(table, &err) < 0);
        assert_int_equal(err.remedy, MR_FATAL);
        (void)mr_table_files(table, &count);
        assert_int_equal(count, 0);
        assert_int_equal(mr_table_version(table), 0);
        assert_int_equal(
            mr_store_remove(f->store, FIXTURE_PATH "/_delta_log/00000000000000000001.json", &none),
            0);
    }
    mr_table_close(table);
}

static int
open_with(struct fixture *f, struct mr_field *fields, size_t count, struct mr_table **ret,
          struct mr_err *err)
{
    const struct mr_schema schema = { fields, count };
    const struct mr_table_options options = { f->store, f->sql, FIXTURE_PATH, &schema, f->work };
    return mr_table_open(&options, false, ret, err);
}

static void
new_column_is_added_by_the_next_append(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    struct mr_table *table = fixture_table(f, true);
    struct mr_field wider[] = { { "id", MR_TYPE_LONG, false },
                                { "tags", MR_TYPE_STRING, true },
                                { "name", MR_TYPE_STRING, false } };
    const struct mr_schema schema = { wider, 3 };
    assert_int_equal(fixture_append(f, table, 0, 10, &err), 0);
    mr_table_close(table);
    assert_int_equal(open_with(f, wider, 3, &table, &err), 0);

    struct mr_file_stats stats = { 0 };
    MR_CLEANUP(mr_freep) char *path = mr_printf("%s/wide.parquet", f->work);
    assert_int_equal(mr_sql_write_parquet(f->sql, "SELECT 10 AS id, ['a'] AS tags, 'x' AS name",
                                          &schema, path, &stats, &err),
                     0);
    const struct mr_table_range range = {
        FIXTURE_APP, "a.pin.clean", 0, "00ff", 10, 11, 1, 0, NULL
    };
    const struct mr_table_new_file file = { path, &stats };
    assert_int_equal(mr_table_append(table, &range, 1, &file, 1, true, &err), 0);
    free(stats.columns);
    mr_table_close(table);

    const struct mr_table_options any = { f->store, f->sql, FIXTURE_PATH, NULL, f->work };
    assert_int_equal(mr_table_open(&any, false, &table, &err), 0);
    const struct mr_schema *have = mr_table_schema(table);
    assert_int_equal(have->count, 3);
    assert_string_equal(have->fields[2].name, "tags");
    assert_true(have->fields[2].is_list);
    assert_int_equal(rows_of(table), 11);
    mr_table_close(table);
}

static void
schema_of_another_contract_is_refused_by_column(void **state)
{
    struct fixture *f = *state;
    struct mr_err type = { 0 }, unknown = { 0 };
    struct mr_table *table = fixture_table(f, true);
    mr_table_close(table);
    struct mr_field other[] = { { "id", MR_TYPE_STRING, false },
                                { "name", MR_TYPE_STRING, false } };
    assert_int_equal(open_with(f, other, 2, &table, &type), MR_E(IDENTITY));
    assert_non_null(strstr(type.text, "column id is long in the table and string"));
    struct mr_field fewer[] = { { "id", MR_TYPE_LONG, false } };
    assert_int_equal(open_with(f, fewer, 1, &table, &unknown), MR_E(IDENTITY));
    assert_non_null(strstr(unknown.text, "column name"));
}

static void
fetched_file_stays_and_is_not_fetched_again(void **state)
{
    struct fixture *f = *state;
    struct mr_err err = { 0 };
    struct mr_table *table = fixture_table(f, true);
    assert_int_equal(fixture_append(f, table, 0, 10, &err), 0);
    size_t count;
    const struct mr_table_file *files = mr_table_files(table, &count);
    MR_CLEANUP(mr_freep) char *path = NULL;
    assert_int_equal(mr_table_fetch(table, &files[0], f->work, &path, &err), 0);
    MR_CLEANUP(mr_freep) char *key = mr_printf("%s/%s", FIXTURE_PATH, files[0].path);
    assert_int_equal(mr_store_remove(f->store, key, &err), 0);

    MR_CLEANUP(mr_freep) char *again = NULL;
    assert_int_equal(mr_table_fetch(table, &files[0], f->work, &again, &err), 0);
    assert_string_equal(path, again);
    mr_table_close(table);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)
        IN_FOLDER(missing_table_is_not_found_and_create_makes_version_0),
        IN_FOLDER(append_is_seen_by_the_next_who_opens),
        IN_FOLDER(commit_holds_what_every_reader_demands),
        IN_FOLDER(second_writer_gets_conflict_then_stale),
        IN_FOLDER(conflict_leaves_no_data_file_behind),
        IN_FOLDER(lost_answer_is_settled_by_the_commit_id),
        IN_FOLDER(unknown_outcome_is_an_error_and_a_new_try_is_safe),
        IN_FOLDER(partition_that_stands_twice_in_an_append_is_refused),
        IN_FOLDER(commit_without_rows_moves_the_partitions_it_names_only),
        IN_FOLDER(checkpoint_alone_gives_the_same_snapshot),
        IN_FOLDER(second_checkpoint_stands_on_the_first),
        IN_FOLDER(pointer_that_leads_nowhere_is_passed_over),
        IN_FOLDER(foreign_commits_between_ours_are_taken_in),
        IN_FOLDER(totals_survive_a_checkpoint_of_a_foreign_version),
        IN_FOLDER(damaged_commit_leaves_the_snapshot_where_it_was),
        IN_FOLDER(new_column_is_added_by_the_next_append),
        IN_FOLDER(schema_of_another_contract_is_refused_by_column),
        IN_FOLDER(fetched_file_stays_and_is_not_fetched_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
