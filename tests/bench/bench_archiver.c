/*
 * What the way from a clean topic into a Delta table costs: a backlog of pins on the memory bus, a
 * local folder as store, the archiver's own defaults. Beside it the floors of the same run: reading
 * the backlog and doing nothing, and writing the same rows as plain Parquet.
 *
 *   bench_archiver KINDS_DIR EMISSIONS.ndjson [COUNT] [growing|random]     how keys are chosen
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "archive.h"
#include "bus/memory.h"
#include "clock/clock.h"
#include "millrace/v1/event.pb-c.h"
#include "private.h"

enum { LINE_MAX_BYTES = 1 << 20, PARTITIONS = 3, BATCH_ROWS = 20480 };

static const char topic[] = "t.pin.clean";

static void
need(int code, const struct mr_err *err)
{
    if (code < 0) {
        (void)fprintf(stderr, "bench_archiver: %s\n", err->text);
        exit(1);
    }
}

static double
cpu_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void
report(const char *what, double cpu, double wall_ms, int64_t count)
{
    printf("%-44s %8.2f us CPU/event %8.2f us wall/event\n", what, cpu / (double)count,
           wall_ms * 1e3 / (double)count);
}

/* ---- rows ---- */

struct rows {
    const struct mr_kind *kind;
    struct mr_columns **batches; /* of BATCH_ROWS */
    size_t count;
};

static void
put_row(struct mr_columns *to, const struct mr_kind *kind, const json_t *pin, int64_t key)
{
    for (size_t c = 0; c < kind->output.count; c++) {
        const struct mr_field *field = &kind->output.fields[c];
        const json_t *value = json_object_get(pin, field->name);
        if ((int)c == kind->key_out)
            mr_columns_int(to, c, key);
        else if (field->type == MR_TYPE_STRING && json_is_string(value))
            mr_columns_text(to, c, mr_slice_text(json_string_value(value)));
        else if (field->type == MR_TYPE_LONG)
            mr_columns_int(to, c, key % 1000000);
    }
    mr_columns_end_row(to);
}

static json_t *
load(const char *path)
{
    static char line[LINE_MAX_BYTES];
    json_t *pins = json_array();
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        json_t *emission = json_loads(line, 0, NULL);
        (void)json_array_append(pins, json_object_get(emission, "pin"));
        json_decref(emission);
    }
    (void)fclose(file);
    return pins;
}

static struct rows
make_rows(const struct mr_kind *kind, const char *path, int64_t count, bool random)
{
    json_t *pins = load(path);
    struct rows rows = { .kind = kind };
    rows.batches = mr_alloc(((size_t)count / BATCH_ROWS + 1) * sizeof(*rows.batches));
    for (int64_t i = 0; i < count; i++) {
        if (i % BATCH_ROWS == 0)
            rows.batches[rows.count++] = mr_columns_new(&kind->output);
        const json_t *pin = json_array_get(pins, (size_t)i % json_array_size(pins));
        int64_t key = random ? (int64_t)(mr_hash64(&i, sizeof(i), 7) >> 2) : i;
        put_row(rows.batches[rows.count - 1], kind, pin, key);
    }
    json_decref(pins);
    return rows;
}

/* ---- the backlog ---- */

static void
produce(struct mr_bus *bus, const struct rows *rows)
{
    struct mr_err err = { 0 };
    struct mr_writer *writer;
    const struct mr_topic_spec spec = { topic, PARTITIONS, 1, NULL };
    const struct mr_writer_options options = { .linger_ms = -1, .queue_bytes_max = 1 << 30 };
    MR_CLEANUP(mr_buf_fini) struct mr_buf record;
    mr_buf_init(&record, 1 << 20);
    need(mr_bus_create(bus, &spec, 1, 1000, &err), &err);
    need(mr_writer_open(bus, &options, &writer, &err), &err);
    for (size_t b = 0; b < rows->count; b++)
        for (size_t row = 0; row < rows->batches[b]->rows; row++) {
            uint8_t packed[1 << 16], id[MR_UUID_BYTES] = { 1 };
            Millrace__V1__Event event = MILLRACE__V1__EVENT__INIT;
            Millrace__V1__Provenance provenance = MILLRACE__V1__PROVENANCE__INIT;
            Millrace__V1__Origin origin = MILLRACE__V1__ORIGIN__INIT;
            mr_buf_reset(&record);
            need(mr_contract_encode(rows->kind, rows->batches[b], row, &record, &err), &err);
            provenance.event_id = (ProtobufCBinaryData){ sizeof(id), id };
            provenance.received_us = 1700000000000000;
            origin.topic_id = provenance.event_id;
            event.provenance = &provenance;
            event.origin = &origin;
            event.kind = (char *)(uintptr_t)rows->kind->name;
            event.contract_version = rows->kind->version;
            event.record = (ProtobufCBinaryData){ record.size, (uint8_t *)record.data };
            const struct mr_message message = {
                .topic = topic,
                .partition = (int32_t)(row % PARTITIONS),
                .value = mr_slice(packed, millrace__v1__event__pack(&event, packed)),
            };
            need(mr_writer_produce(writer, &message, &err), &err);
            (void)mr_writer_poll(writer, 0);
        }
    need(mr_writer_flush(writer, 60000, &err), &err);
    mr_writer_close(writer);
}

static void
read_only(struct mr_bus *bus, int64_t count)
{
    struct mr_err err = { 0 };
    struct mr_reader *reader;
    const struct mr_reader_options options = { .queue_bytes_max = 20 << 20 };
    struct mr_part parts[PARTITIONS] = { 0 };
    for (int p = 0; p < PARTITIONS; p++) {
        (void)snprintf(parts[p].topic, sizeof(parts[p].topic), "%s", topic);
        parts[p].partition = p;
    }
    need(mr_reader_open(bus, &options, &reader, &err), &err);
    need(mr_reader_assign(reader, parts, PARTITIONS, &err), &err);
    double cpu = cpu_us();
    int64_t began_ms = mr_now_ms(), seen = 0;
    while (seen < count) {
        struct mr_batch batch;
        need(mr_reader_poll(reader, POLL_RECORDS_MAX, 100, &batch, &err), &err);
        for (size_t i = 0; i < batch.count; i++)
            seen += !batch.records[i].is_end;
    }
    report("read from the memory bus only", cpu_us() - cpu, (double)(mr_now_ms() - began_ms),
           count);
    mr_reader_close(reader);
}

/* ---- the two ways to write ---- */

static struct mr_sql *
open_sql(const char *dir)
{
    struct mr_err err = { 0 };
    struct mr_sql *sql;
    const char *const dirs[] = { dir, NULL };
    const struct mr_sql_options options = { .memory_max = 60 << 20, .dirs = dirs };
    need(mr_sql_open(&options, &sql, &err), &err);
    return sql;
}

static void
write_plain(const struct rows *rows, const char *dir, int64_t count)
{
    struct mr_err err = { 0 };
    struct mr_sql *sql = open_sql(dir);
    need(mr_sql_relation(sql, "rows", &rows->kind->output, &err), &err);
    double cpu = cpu_us();
    int64_t began_ms = mr_now_ms(), bytes = 0;
    for (size_t b = 0; b < rows->count; b++) {
        const struct mr_columns *batch = rows->batches[b];
        struct mr_file_stats stats = { 0 };
        MR_CLEANUP(mr_freep) char *path = mr_printf("%s/plain-%zu.parquet", dir, b);
        need(mr_sql_bind(sql, "rows", &batch, 1, &err), &err);
        need(mr_sql_write_parquet(sql, "SELECT * FROM rows", &rows->kind->output, path, &stats,
                                  &err),
             &err);
        bytes += stats.bytes;
        free(stats.columns);
    }
    report("plain Parquet of the same rows", cpu_us() - cpu, (double)(mr_now_ms() - began_ms),
           count);
    printf("%-44s %8.1f bytes/event\n", "  size of the files", (double)bytes / (double)count);
    mr_sql_close(sql);
}

static void
archive_all(struct mr_bus *bus, const char *kinds, const char *dir, int64_t count)
{
    struct mr_err err = { 0 };
    struct mr_store *store;
    struct archive *archive;
    MR_CLEANUP(mr_freep) char *url = mr_printf("file:%s/store", dir);
    MR_CLEANUP(mr_freep) char *work = mr_printf("%s/work", dir);
    struct mr_metrics *metrics = mr_metrics_open(archive_metrics, archive_metrics_count);
    need(mr_store_open(url, NULL, &store, &err), &err);
    const struct archive_options options = { .bus = bus,
                                             .store = store,
                                             .sql = open_sql(work),
                                             .kinds = kinds,
                                             .pipeline = "bench",
                                             .group = "bench.archiver",
                                             .work_dir = work,
                                             .queue_bytes_max = 20 << 20,
                                             .held_bytes_max = 60 << 20,
                                             .raw = { 50000, 8 << 20, 10000 },
                                             .table = { 100000, 24 << 20, 5000 },
                                             .metrics = metrics };
    double cpu = cpu_us();
    int64_t began_ms = mr_now_ms(), durable = 0, taken = 0, most = 0;
    need(archive_open(&options, &archive, &err), &err);
    while (durable < count) {
        need(archive_step(archive, 100, &err), &err);
        durable = taken = 0;
        for (size_t i = 0; i < archive->parts_count; i++) {
            durable += archive->parts[i].durable;
            taken += archive->parts[i].next;
        }
        if (taken == count)
            (void)archive_flush(archive);
        most = archive_held(archive) > most ? archive_held(archive) : most;
    }
    report("archiver, clean topic to Delta", cpu_us() - cpu, (double)(mr_now_ms() - began_ms),
           count);
    printf("%-44s %8lld commits, %.1f MiB held at most\n", "",
           (long long)archive->targets[0]->version, (double)most / (1 << 20));
    archive_close(archive);
    mr_metrics_close(metrics);
}

int
main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr,
                      "bench_archiver KINDS_DIR EMISSIONS.ndjson [COUNT] [growing|random]\n");
        return 2;
    }
    struct mr_err err = { 0 };
    struct mr_contracts *contracts;
    int64_t count = argc > 3 ? strtoll(argv[3], NULL, 10) : 300000;
    bool random = argc > 4 && strcmp(argv[4], "random") == 0;
    char dir[] = "/var/tmp/millrace-bench-XXXXXX";
    if (mkdtemp(dir) == NULL) {
        perror(dir);
        return 1;
    }
    need(mr_contracts_open(argv[1], &contracts, &err), &err);
    struct mr_bus *bus = mr_bus_memory();
    struct rows rows = make_rows(mr_contracts_find(contracts, "pin"), argv[2], count, random);
    printf("%lld pins, keys %s\n", (long long)count, random ? "random" : "growing");
    produce(bus, &rows);
    read_only(bus, count);
    write_plain(&rows, dir, count);
    for (size_t i = 0; i < rows.count; i++)
        mr_columns_free(rows.batches[i]);
    free(rows.batches);
    archive_all(bus, argv[1], dir, count);
    mr_bus_close(bus);
    mr_contracts_close(contracts);
    MR_CLEANUP(mr_freep) char *clean = mr_printf("rm -r %s", dir);
    return system(clean) == 0 ? 0 : 1;
}
