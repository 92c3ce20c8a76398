/*
 * What a contract costs: the records of one kind are checked, decoded and encoded again and again
 * for a second each, on one core. Prints records a second and microseconds a record.
 *   bench_contract KINDS_DIR EMISSIONS.ndjson [KIND]      (lines of {"n","pin","geo","user"})
 */
#include "contract/contract.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RECORDS_MAX = 100000, RECORD_BYTES_MAX = 1 << 20, ROUND_SECONDS = 1, BATCH = 1000 };

struct records {
    struct mr_slice at[RECORDS_MAX];
    size_t count, bytes;
};

static double
cpu_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The values of kind as Python's json.dumps posts them: a blank behind each comma and colon, and
 * what is not ASCII as escapes. */
static void
load(const char *path, const char *kind, struct records *ret)
{
    static char line[RECORD_BYTES_MAX];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    while (ret->count < RECORDS_MAX && fgets(line, sizeof(line), file) != NULL) {
        json_t *emission = json_loads(line, 0, NULL);
        char *text = json_dumps(json_object_get(emission, kind),
                                JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
        if (text != NULL) {
            ret->at[ret->count++] = mr_slice_text(text);
            ret->bytes += strlen(text);
        }
        json_decref(emission);
    }
    (void)fclose(file);
}

static void
report(const char *what, size_t records, size_t bytes, double seconds)
{
    printf("%-8s %10.0f records/s %8.3f us/record %8.0f MB/s\n", what, (double)records / seconds,
           seconds * 1e6 / (double)records, (double)bytes / seconds / 1e6);
}

/* Returns the packed messages of the last round, one behind the other; ends[i] is where i ends. */
static void
bench_check(const struct mr_kind *kind, const struct records *records, struct mr_buf *ret_packed,
            size_t *ret_ends)
{
    struct mr_buf record, key;
    struct mr_verdict verdict;
    mr_buf_init(&record, RECORD_BYTES_MAX);
    mr_buf_init(&key, RECORD_BYTES_MAX);
    size_t done = 0;
    double start = cpu_seconds(), now = start;
    for (; now - start < ROUND_SECONDS; now = cpu_seconds()) {
        for (size_t i = 0; i < records->count; i++) {
            if (mr_contract_check(kind, records->at[i], &record, &key, &verdict) != 0) {
                printf("record %zu is dead: %s\n", i, verdict.reason);
                exit(1);
            }
        }
        done += records->count;
    }
    report("check", done, records->bytes * (done / records->count), now - start);
    for (size_t i = 0; i < records->count; i++) {
        (void)mr_contract_check(kind, records->at[i], &record, &key, &verdict);
        mr_buf_put(ret_packed, record.data, record.size);
        ret_ends[i] = ret_packed->size;
    }
    mr_buf_fini(&record);
    mr_buf_fini(&key);
}

static void
bench_decode(const struct mr_kind *kind, size_t count, const struct mr_buf *packed,
             const size_t *ends)
{
    struct mr_columns *rows = mr_columns_new(&kind->input);
    struct mr_err err = { 0 };
    size_t done = 0;
    double start = cpu_seconds(), now = start;
    for (; now - start < ROUND_SECONDS; now = cpu_seconds()) {
        for (size_t i = 0; i < count; i++) {
            size_t from = i > 0 ? ends[i - 1] : 0;
            if (mr_contract_decode(kind, MR_INPUT, mr_slice(packed->data + from, ends[i] - from),
                                   rows, &err) != 0) {
                printf("record %zu: %s\n", i, err.text);
                exit(1);
            }
            if (rows->rows == BATCH)
                mr_columns_reset(rows);
        }
        done += count;
    }
    report("decode", done, packed->size * (done / count), now - start);
    mr_columns_free(rows);
}

int
main(int argc, char **argv)
{
    static struct records records;
    static size_t ends[RECORDS_MAX];
    struct mr_contracts *contracts;
    struct mr_err err = { 0 };
    struct mr_buf packed;
    const char *name = argc > 3 ? argv[3] : "pin";
    if (argc < 3) {
        (void)fprintf(stderr, "usage: %s KINDS_DIR EMISSIONS.ndjson [KIND]\n", argv[0]);
        return 2;
    }
    if (mr_contracts_open(argv[1], &contracts, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 2;
    }
    const struct mr_kind *kind = mr_contracts_find(contracts, name);
    load(argv[2], name, &records);
    if (kind == NULL || records.count == 0) {
        (void)fprintf(stderr, "no kind or no records named %s\n", name);
        return 2;
    }
    printf("%zu different records of %s, %zu bytes each\n", records.count, name,
           records.bytes / records.count);
    mr_buf_init(&packed, (size_t)1 << 30);
    bench_check(kind, &records, &packed, ends);
    bench_decode(kind, records.count, &packed, ends);
    mr_buf_fini(&packed);
    for (size_t i = 0; i < records.count; i++)
        free((char *)records.at[i].data);
    mr_contracts_close(contracts);
    return 0;
}
