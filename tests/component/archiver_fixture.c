#include "archiver_fixture.h"

#include <ftw.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/memory.h"
#include "clock/clock.h"
#include "millrace/v1/event.pb-c.h"
#include "private.h"
#include "table/table.h"
#include "test.h"

/* ---- faults of the store ---- */

static struct {
    pthread_mutex_t lock; /* the archiver's worker creates, the test arms */
    const char *text;
    unsigned away;
    void (*do_this)(void *self);
    void *self;
} fault = { .lock = PTHREAD_MUTEX_INITIALIZER };

void
bench_store_away(const char *text, unsigned count)
{
    (void)pthread_mutex_lock(&fault.lock);
    fault.text = text;
    fault.away = count;
    (void)pthread_mutex_unlock(&fault.lock);
}

void
bench_before_create(const char *text, void (*do_this)(void *self), void *self)
{
    (void)pthread_mutex_lock(&fault.lock);
    fault.text = text;
    fault.do_this = do_this;
    fault.self = self;
    (void)pthread_mutex_unlock(&fault.lock);
}

int __real_mr_store_put_new(struct mr_store *store, const char *key, struct mr_slice body,
                            const struct mr_meta *meta, struct mr_err *err);
int __wrap_mr_store_put_new(struct mr_store *store, const char *key, struct mr_slice body,
                            const struct mr_meta *meta, struct mr_err *err);

int
__wrap_mr_store_put_new(struct mr_store *store, const char *key, struct mr_slice body,
                        const struct mr_meta *meta, struct mr_err *err)
{
    void (*do_this)(void *self) = NULL;
    void *self = NULL;
    bool is_away = false;
    (void)pthread_mutex_lock(&fault.lock);
    if (fault.text != NULL && strstr(key, fault.text) != NULL) {
        do_this = MR_TAKE(fault.do_this);
        self = fault.self;
        is_away = fault.away > 0;
        fault.away -= is_away;
    }
    (void)pthread_mutex_unlock(&fault.lock);
    if (is_away)
        return mr_fail(err, MR_E(UNAVAILABLE), MR_RETRY, "the store is away");
    if (do_this != NULL)
        do_this(self);
    return __real_mr_store_put_new(store, key, body, meta, err);
}

/* ---- open and close ---- */

int
bench_open(void **state)
{
    struct bench *b = mr_alloc(sizeof(*b));
    (void)snprintf(b->dir, sizeof(b->dir), "/tmp/millrace-archiver-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    (void)snprintf(b->work, sizeof(b->work), "%s/work", b->dir);
    (void)snprintf(b->url, sizeof(b->url), "file:%s/store", b->dir);
    b->kinds = mr_printf("%s/kinds", getenv("MILLRACE_BUILD"));
    b->bus = mr_bus_memory();
    b->raw = b->table = (struct archive_rotation){ 1 << 20, 1 << 26, 3600000 };
    b->held_bytes_max = 64 << 20;
    b->pipeline = "millrace";
    b->metrics = mr_metrics_open(archive_metrics, archive_metrics_count);
    const struct mr_writer_options options = { .linger_ms = -1, .queue_bytes_max = 64 << 20 };
    BENCH_OK(mr_writer_open(b->bus, &options, &b->writer, &oops));
    BENCH_OK(mr_contracts_open(b->kinds, &b->contracts, &oops));
    BENCH_OK(mr_store_open(b->url, NULL, &b->store, &oops));
    bench_store_away(NULL, 0);
    *state = b;
    return 0;
}

static int
remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

int
bench_close(void **state)
{
    struct bench *b = *state;
    bench_before_create(NULL, NULL, NULL);
    mr_writer_close(b->writer);
    mr_bus_close(b->bus);
    mr_contracts_close(b->contracts);
    mr_metrics_close(b->metrics);
    mr_store_close(b->store);
    assert_int_equal(nftw(b->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    free((void *)b->kinds);
    free(b);
    return 0;
}

struct archive *
bench_archive_on(struct bench *b, struct mr_bus *bus, const char *group, struct mr_err *err)
{
    struct archive *archive = NULL;
    struct mr_store *store = NULL;
    struct mr_sql *sql = NULL;
    const char *const dirs[] = { b->work, NULL };
    const struct mr_sql_options engine = { .memory_max = 128 << 20, .dirs = dirs };
    BENCH_OK(mr_store_open(b->url, NULL, &store, &oops));
    BENCH_OK(mr_sql_open(&engine, &sql, &oops));
    const struct archive_options options = { .bus = bus,
                                             .store = store,
                                             .sql = sql,
                                             .kinds = b->kinds,
                                             .pipeline = b->pipeline,
                                             .group = group != NULL ? group : "millrace.archiver",
                                             .work_dir = b->work,
                                             .queue_bytes_max = 16 << 20,
                                             .held_bytes_max = b->held_bytes_max,
                                             .raw = b->raw,
                                             .table = b->table,
                                             .metrics = b->metrics };
    return archive_open(&options, &archive, err) == 0 ? archive : NULL;
}

struct archive *
bench_archive(struct bench *b, const char *group)
{
    struct mr_err err = { 0 };
    struct archive *archive = bench_archive_on(b, b->bus, group, &err);
    if (archive == NULL)
        fail_msg("%s", err.text);
    return archive;
}

void
bench_archive_fails(struct bench *b, struct mr_err *ret)
{
    struct archive *archive = bench_archive(b, NULL);
    int64_t deadline_ms = mr_now_ms() + FIXTURE_WAIT_MS;
    while (ret->code == 0 && mr_now_ms() < deadline_ms)
        (void)archive_step(archive, 10, ret);
    archive_close(archive);
    assert_int_not_equal(ret->code, 0);
}

void
bench_crash(struct archive *archive)
{
    archive_close(archive);
}

void
bench_step(struct archive *archive)
{
    BENCH_OK(archive_step(archive, 10, &oops));
}

void
bench_read(struct archive *archive)
{
    int64_t deadline_ms = mr_now_ms() + FIXTURE_WAIT_MS;
    for (int idle = 0; idle < 3;) {
        struct mr_err oops = { 0 };
        int count = archive_step(archive, 10, &oops);
        if (count < 0)
            fail_msg("%s", oops.text);
        idle = count == 0 && archive->phase == PHASE_FLOWING ? idle + 1 : 0;
        if (mr_now_ms() > deadline_ms)
            fail_msg("not read to the end: %s", archive->trouble);
    }
}

void
bench_flush(struct archive *archive)
{
    int64_t deadline_ms = mr_now_ms() + FIXTURE_WAIT_MS;
    while (!archive_flush(archive)) {
        bench_step(archive);
        if (mr_now_ms() > deadline_ms)
            fail_msg("not flushed: %s", archive->trouble);
    }
}

void
bench_settle(struct archive *archive)
{
    bench_read(archive);
    bench_flush(archive);
}

/* ---- putting in ---- */

void
bench_topic(struct bench *b, const char *topic, int partitions)
{
    const struct mr_topic_spec spec = { topic, partitions, 1, NULL };
    BENCH_OK(mr_bus_create(b->bus, &spec, 1, 1000, &oops));
}

void
bench_put(struct bench *b, const char *topic, int32_t partition, struct mr_slice value)
{
    const struct mr_message message = { .topic = topic, .partition = partition, .value = value };
    BENCH_OK(mr_writer_produce(b->writer, &message, &oops));
    BENCH_OK(mr_writer_flush(b->writer, 1000, &oops));
}

void
bench_put_text(struct bench *b, const char *topic, int32_t partition, const char *value)
{
    bench_put(b, topic, partition, mr_slice_text(value));
}

void
bench_event(struct bench *b, const char *topic, int32_t partition, const struct mr_columns *rows,
            size_t row, unsigned version)
{
    struct mr_topic_name name;
    assert_true(mr_topic_parse(topic, &name));
    const struct mr_kind *kind = mr_contracts_find(b->contracts, name.kind);
    MR_CLEANUP(mr_buf_fini) struct mr_buf record;
    mr_buf_init(&record, 1 << 20);
    BENCH_OK(mr_contract_encode(kind, rows, row, &record, &oops));
    Millrace__V1__Event event = MILLRACE__V1__EVENT__INIT;
    Millrace__V1__Provenance provenance = MILLRACE__V1__PROVENANCE__INIT;
    if (b->trace != NULL) {
        provenance.traceparent = (char *)(uintptr_t)b->trace;
        event.provenance = &provenance;
    }
    event.kind = (char *)(uintptr_t)kind->name;
    event.contract_version = version;
    event.record = (ProtobufCBinaryData){ record.size, (uint8_t *)record.data };
    size_t size = millrace__v1__event__get_packed_size(&event);
    MR_CLEANUP(mr_freep) uint8_t *packed = mr_alloc(size);
    bench_put(b, topic, partition, mr_slice(packed, millrace__v1__event__pack(&event, packed)));
}

static void
put_pin(struct bench *b, const char *topic, int32_t partition, int64_t ind, const char *title,
        unsigned version)
{
    const struct mr_kind *kind = mr_contracts_find(b->contracts, "pin");
    MR_CLEANUP(mr_columns_freep) struct mr_columns *row = mr_columns_new(&kind->output);
    mr_columns_int(row, (size_t)mr_schema_find(&kind->output, "ind"), ind);
    mr_columns_text(row, (size_t)mr_schema_find(&kind->output, "title"), mr_slice_text(title));
    mr_columns_end_row(row);
    bench_event(b, topic, partition, row, 0, version);
}

void
bench_pin(struct bench *b, const char *topic, int32_t partition, int64_t ind, const char *title)
{
    put_pin(b, topic, partition, ind, title, mr_contracts_find(b->contracts, "pin")->version);
}

void
bench_pin_version(struct bench *b, const char *topic, int32_t partition, int64_t ind,
                  unsigned version)
{
    put_pin(b, topic, partition, ind, "", version);
}

void
bench_letter(struct bench *b, const char *topic, int32_t partition, const char *kind,
             const char *reason)
{
    Millrace__V1__DeadLetter letter = MILLRACE__V1__DEAD_LETTER__INIT;
    Millrace__V1__Origin origin = MILLRACE__V1__ORIGIN__INIT;
    uint8_t packed[4096];
    static char original[] = "not JSON", stage[] = "validator";
    char from[100];
    (void)snprintf(from, sizeof(from), "t.%s", kind);
    origin.topic = from;
    origin.offset = 7;
    Millrace__V1__Provenance provenance = MILLRACE__V1__PROVENANCE__INIT;
    if (b->trace != NULL) {
        provenance.traceparent = (char *)(uintptr_t)b->trace;
        letter.provenance = &provenance;
    }
    letter.origin = &origin;
    letter.kind = (char *)(uintptr_t)kind;
    letter.stage = stage;
    letter.code = MILLRACE__V1__DEAD_CODE__NOT_JSON;
    letter.reason = (char *)(uintptr_t)reason;
    letter.original = (ProtobufCBinaryData){ strlen(original), (uint8_t *)original };
    letter.dead_us = 1700000000000000;
    bench_put(b, topic, partition,
              mr_slice(packed, millrace__v1__dead_letter__pack(&letter, packed)));
}

void
bench_mark(struct bench *b, const char *topic, int32_t partition, const char *kind, int64_t offset)
{
    Millrace__V1__DeadLetter mark = MILLRACE__V1__DEAD_LETTER__INIT;
    Millrace__V1__Origin origin = MILLRACE__V1__ORIGIN__INIT;
    Millrace__V1__Origin replayed = MILLRACE__V1__ORIGIN__INIT;
    uint8_t packed[4096];
    static char stage[] = "replay";
    char raw[100];
    (void)snprintf(raw, sizeof(raw), "t.%s", kind);
    origin.topic = replayed.topic = raw;
    origin.offset = 7;
    replayed.offset = offset;
    mark.origin = &origin;
    mark.kind = (char *)(uintptr_t)kind;
    mark.stage = stage;
    mark.replayed_as = &replayed;
    mark.replayed_us = 1700000001000000;
    bench_put(b, topic, partition,
              mr_slice(packed, millrace__v1__dead_letter__pack(&mark, packed)));
}

/* ---- reading back ---- */

static int64_t
meta_number(const struct mr_meta *meta, const char *name)
{
    const char *text = mr_meta_get(meta, name);
    assert_non_null(text);
    return strtoll(text, NULL, 10);
}

/* Lines of one object; returns its next. */
static int64_t
read_object(struct bench *b, const struct mr_object *object, int64_t first, int64_t from,
            struct mr_buf *ret)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    struct mr_meta meta;
    int64_t offset = first;
    mr_buf_init(&body, 1 << 26);
    BENCH_OK(mr_store_get(b->store, object->key, &body, &meta, &oops));
    assert_int_equal(meta_number(&meta, "from"), from);
    assert_int_equal(strlen(mr_meta_get(&meta, "topic-id")), 32);
    assert_int_equal(strlen(mr_meta_get(&meta, "sha256")), 64);
    for (char *line = body.data; line < body.data + body.size; offset++) {
        char *end = memchr(line, '\n', (size_t)(body.data + body.size - line));
        assert_non_null(end);
        mr_buf_printf(ret, "%s%" PRId64 "=%.*s", ret->size > 0 ? " " : "", offset,
                      (int)(end - line), line);
        line = end + 1;
    }
    assert_int_equal(meta_number(&meta, "count"), offset - first);
    assert_int_equal(meta_number(&meta, "next"), offset);
    return offset;
}

char *
bench_raw(struct bench *b, const char *topic, int32_t partition)
{
    struct mr_buf text;
    struct mr_object *objects;
    size_t count;
    int64_t next = 0;
    MR_CLEANUP(mr_freep)
    char *folder =
        mr_printf("topics/%s/partition=%d/%s+%d+", topic, (int)partition, topic, (int)partition);
    mr_buf_init(&text, 1 << 26);
    mr_buf_text(&text, "");
    BENCH_OK(mr_store_list(b->store, folder, NULL, 10000, &objects, &count, &oops));
    for (size_t i = 0; i < count; i++) {
        const char *name = objects[i].key + strlen(folder);
        assert_int_equal(strspn(name, "0123456789"), 10);
        assert_string_equal(name + 10, ".json");
        int64_t first = strtoll(name, NULL, 10);
        assert_true(first >= next);
        next = read_object(b, &objects[i], first, next, &text);
    }
    free(objects);
    return text.data != NULL ? text.data : mr_strdup("");
}

static void
print_value(const struct mr_column *column, size_t row, struct mr_buf *ret)
{
    mr_buf_text(ret, ret->size > 0 ? " " : "");
    if (mr_column_is_null(column, row))
        mr_buf_text(ret, "NULL");
    else if (column->field.type == MR_TYPE_STRING || column->field.type == MR_TYPE_BINARY)
        mr_buf_put(ret, mr_column_text(column, row).data, mr_column_text(column, row).size);
    else
        mr_buf_printf(ret, "%" PRId64, mr_column_int(column, row));
}

char *
bench_rows(struct bench *b, const char *table, const char *sql)
{
    MR_CLEANUP(mr_sql_closep) struct mr_sql *engine = NULL;
    MR_CLEANUP(mr_table_closep) struct mr_table *handle = NULL;
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    struct mr_buf answer;
    const char *const dirs[] = { b->work, NULL };
    const struct mr_sql_options options = { .dirs = dirs };
    MR_CLEANUP(mr_freep) char *path = mr_printf("tables/%s", table);
    mr_buf_init(&text, 1 << 20);
    mr_buf_init(&answer, 1 << 26);
    mr_buf_text(&answer, "");
    BENCH_OK(mr_sql_open(&options, &engine, &oops));
    const struct mr_table_options where = { b->store, engine, path, NULL, b->work };
    BENCH_OK(mr_table_open(&where, false, &handle, &oops));
    size_t count;
    const struct mr_table_file *files = mr_table_files(handle, &count);
    mr_buf_text(&text, "WITH t AS (SELECT * FROM read_parquet([");
    for (size_t i = 0; i < count; i++) {
        MR_CLEANUP(mr_freep) char *local = NULL;
        BENCH_OK(mr_table_fetch(handle, &files[i], b->work, &local, &oops));
        mr_buf_text(&text, i > 0 ? ", " : "");
        mr_sql_literal(&text, local);
    }
    mr_buf_printf(&text, "], union_by_name = true)) %s", sql);
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    MR_CLEANUP(mr_result_closep) struct mr_result *result = NULL;
    BENCH_OK(mr_sql_prepare(engine, text.data, &statement, &oops));
    BENCH_OK(mr_statement_run(statement, &result, &oops));
    MR_CLEANUP(mr_columns_freep)
    struct mr_columns *rows = mr_columns_new(mr_statement_schema(statement));
    struct mr_err err = { 0 };
    while (mr_result_next(result, rows, &err) > 0)
        ;
    assert_int_equal(err.code, 0);
    for (size_t row = 0; row < rows->rows; row++)
        for (size_t c = 0; c < rows->count; c++)
            print_value(&rows->columns[c], row, &answer);
    return answer.data != NULL ? answer.data : mr_strdup("");
}

int64_t
bench_metric(struct bench *b, const char *name, const char *const *labels)
{
    return mr_metrics_cell(b->metrics, name, labels)->value;
}

static void
check_ranges(json_t *partitions, json_t *ends, int64_t *good, int64_t *repeated)
{
    const char *name;
    json_t *range;
    json_object_foreach(partitions, name, range)
    {
        json_t *end = json_object_get(ends, name);
        int64_t from = json_integer_value(json_object_get(range, "from"));
        if (end != NULL)
            assert_int_equal(from, json_integer_value(end));
        json_object_set_new(ends, name,
                            json_integer(json_integer_value(json_object_get(range, "next"))));
        *good += json_integer_value(json_object_get(range, "good"));
        *repeated += json_integer_value(json_object_get(range, "repeated"));
    }
}

void
bench_chain(struct bench *b, const char *table, int64_t *ret_good, int64_t *ret_repeated)
{
    json_t *ends = json_object();
    *ret_good = *ret_repeated = 0;
    for (int version = 1;; version++) {
        MR_CLEANUP(mr_buf_fini) struct mr_buf body;
        MR_CLEANUP(mr_freep)
        char *key = mr_printf("tables/%s/_delta_log/%020d.json", table, version);
        struct mr_err err = { 0 };
        mr_buf_init(&body, 1 << 20);
        if (mr_store_get(b->store, key, &body, NULL, &err) != 0)
            break;
        const char *end = memchr(body.data, '\n', body.size);
        json_t *line = json_loadb(body.data, (size_t)(end - body.data), 0, NULL);
        json_t *ours = json_object_get(json_object_get(line, "commitInfo"), "millrace");
        check_ranges(json_object_get(ours, "partitions"), ends, ret_good, ret_repeated);
        json_decref(line);
    }
    json_decref(ends);
}
