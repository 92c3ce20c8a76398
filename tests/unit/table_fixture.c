#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "table_fixture.h"
#include "test.h"

static struct mr_field fields[] = { { "id", MR_TYPE_LONG, false },
                                    { "name", MR_TYPE_STRING, false } };
const struct mr_schema fixture_schema = { fields, 2 };
enum fault fixture_fault;

int __real_mr_store_put_new(struct mr_store *store, const char *key, struct mr_slice body,
                            const struct mr_meta *meta, struct mr_err *err);
int __wrap_mr_store_put_new(struct mr_store *store, const char *key, struct mr_slice body,
                            const struct mr_meta *meta, struct mr_err *err);

int
__wrap_mr_store_put_new(struct mr_store *store, const char *key, struct mr_slice body,
                        const struct mr_meta *meta, struct mr_err *err)
{
    enum fault fault = fixture_fault;
    fixture_fault = FAULT_NONE;
    if (fault != FAULT_LOST_BEFORE) {
        int code = __real_mr_store_put_new(store, key, body, meta, err);
        if (fault == FAULT_NONE || code != 0)
            return code;
    }
    if (fault == FAULT_EXISTS_AFTER)
        return mr_fail(err, MR_E(EXISTS), MR_REJECT, "it is there");
    return mr_fail(err, MR_E(TIMEOUT), MR_RETRY, "no answer");
}

int
fixture_open(void **state)
{
    struct fixture *f = mr_alloc(sizeof(*f));
    struct mr_err err = { 0 };
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/millrace-table-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->work, sizeof(f->work), "%s/work", f->dir);
    (void)snprintf(f->url, sizeof(f->url), "file:%s/store", f->dir);
    MR_CLEANUP(mr_freep) char *command = mr_printf("mkdir %s", f->work);
    assert_int_equal(system(command), 0);
    const char *const dirs[] = { f->work, NULL };
    const struct mr_sql_options engine = { .dirs = dirs };
    assert_int_equal(mr_store_open(f->url, NULL, &f->store, &err), 0);
    assert_int_equal(mr_sql_open(&engine, &f->sql, &err), 0);
    fixture_fault = FAULT_NONE;
    *state = f;
    return 0;
}

int
fixture_close(void **state)
{
    struct fixture *f = *state;
    mr_sql_close(f->sql);
    mr_store_close(f->store);
    MR_CLEANUP(mr_freep) char *command = mr_printf("rm -r %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

struct mr_table *
fixture_table(struct fixture *f, bool create)
{
    struct mr_err err = { 0 };
    struct mr_table *table = NULL;
    const struct mr_table_options options = { f->store, f->sql, FIXTURE_PATH, &fixture_schema,
                                              f->work };
    if (mr_table_open(&options, create, &table, &err) != 0)
        fail_msg("%s", err.text);
    return table;
}

int
fixture_append(struct fixture *f, struct mr_table *table, int64_t from, int64_t next,
               struct mr_err *err)
{
    struct mr_file_stats stats = { 0 };
    MR_CLEANUP(mr_freep) char *path = mr_printf("%s/new.parquet", f->work);
    MR_CLEANUP(mr_freep)
    char *select = mr_printf("SELECT range AS id, 'n' || range AS name FROM range(%lld, %lld)",
                             (long long)from, (long long)next);
    struct mr_err why = { 0 };
    if (mr_sql_write_parquet(f->sql, select, &fixture_schema, path, &stats, &why) != 0)
        fail_msg("%s", why.text);
    const struct mr_table_range range = { FIXTURE_APP, "a.pin.clean", 0, "00ff", from,
                                          next,        next - from,   0, NULL };
    const struct mr_table_new_file file = { path, &stats };
    int code = mr_table_append(table, &range, 1, &file, 1, true, err);
    free(stats.columns);
    (void)unlink(path);
    return code;
}

void
fixture_foreign(struct fixture *f, int64_t version, const char *text)
{
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_freep)
    char *key = mr_printf("%s/_delta_log/%020lld.json", FIXTURE_PATH, (long long)version);
    assert_int_equal(mr_store_put_new(f->store, key, mr_slice_text(text), NULL, &err), 0);
}

char *
fixture_commit(struct fixture *f, int64_t version)
{
    struct mr_err err = { 0 };
    struct mr_buf body;
    MR_CLEANUP(mr_freep)
    char *key = mr_printf("%s/_delta_log/%020lld.json", FIXTURE_PATH, (long long)version);
    mr_buf_init(&body, 1 << 20);
    assert_int_equal(mr_store_get(f->store, key, &body, NULL, &err), 0);
    return body.data;
}
