/*
 * Reads the log of a table: finds the newest checkpoint, then takes in the commits behind it one by
 * one. A listing only says how far the log goes; commits are fetched by number, so a listing that
 * was made while others commit cannot hide one.
 */
#include "table/private.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LIST_PAGE = 1000,
    POINTER_BYTES_MAX = 1 << 20,
    TOTALS_BACK_MAX = 1000, /* foreign commits in a row that are looked through */
};

char *
mr_log_key(const struct mr_table *table, int64_t version, const char *ending)
{
    return mr_printf("%s/_delta_log/%020lld%s", table->path, (long long)version, ending);
}

/* "%020d" + ending, or -1. */
static int64_t
version_of(const char *name, const char *ending)
{
    int64_t version = 0;
    for (int i = 0; i < 20; i++) {
        if (name[i] < '0' || name[i] > '9' || version > (INT64_MAX - 9) / 10)
            return -1;
        version = version * 10 + (name[i] - '0');
    }
    return strcmp(name + 20, ending) == 0 ? version : -1;
}

struct extent {
    int64_t commit, checkpoint; /* the newest; -1: none */
};

/* What is there behind key after; names that are neither commits nor whole checkpoints (.crc files,
 * pointers, checkpoints in parts) are passed over. */
static int
list(struct mr_table *table, const char *after, struct extent *ret, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *prefix = mr_printf("%s/_delta_log/", table->path);
    MR_CLEANUP(mr_freep) char *from = mr_strdup(after);
    *ret = (struct extent){ -1, -1 };
    for (;;) {
        struct mr_object *objects = NULL;
        size_t count = 0;
        if (mr_store_list(table->store, prefix, from, LIST_PAGE, &objects, &count, err) != 0)
            return err->code;
        for (size_t i = 0; i < count; i++) {
            const char *name = objects[i].key + strlen(prefix);
            int64_t commit = version_of(name, ".json");
            int64_t checkpoint = version_of(name, ".checkpoint.parquet");
            if (commit > ret->commit)
                ret->commit = commit;
            if (checkpoint > ret->checkpoint)
                ret->checkpoint = checkpoint;
        }
        if (count == LIST_PAGE) {
            free(from);
            from = mr_strdup(objects[count - 1].key);
        }
        free(objects);
        if (count < LIST_PAGE)
            return 0;
    }
}

/* The version that _last_checkpoint names. It is a hint: absent or damaged is -1. */
static int64_t
pointer(struct mr_table *table)
{
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_freep) char *key = mr_printf("%s/_delta_log/_last_checkpoint", table->path);
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    mr_buf_init(&body, POINTER_BYTES_MAX);
    if (mr_store_get(table->store, key, &body, NULL, &err) != 0)
        return -1;
    json_t *json = json_loadb(body.data, body.size, 0, NULL);
    const json_t *version = json_object_get(json, "version");
    int64_t value = json_is_integer(version) ? json_integer_value(version) : -1;
    json_decref(json);
    return value;
}

static int
get_commit(struct mr_table *table, int64_t version, struct mr_buf *ret, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *key = mr_log_key(table, version, ".json");
    mr_buf_reset(ret);
    return mr_store_get(table->store, key, ret, NULL, err);
}

/* Takes in commits up to last. */
static int
follow(struct mr_table *table, struct mr_snapshot *snapshot, int64_t last, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    mr_buf_init(&body, COMMIT_BYTES_MAX);
    while (snapshot->version < last) {
        int64_t version = snapshot->version + 1;
        if (get_commit(table, version, &body, err) != 0)
            return err->code;
        if (mr_snapshot_apply(snapshot, version, mr_buf_slice(&body), err) != 0)
            return mr_fail_in(err, "%s", table->path);
    }
    return 0;
}

/* A checkpoint does not hold our totals: they stand in the JSON of its own version or, when that
 * commit is somebody else's, in our last one before it. None are found when others have cleaned
 * these up: then the totals begin anew. */
static int
totals(struct mr_table *table, struct mr_snapshot *snapshot, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    mr_buf_init(&body, COMMIT_BYTES_MAX);
    for (int64_t back = 0; back < TOTALS_BACK_MAX && back <= snapshot->version; back++) {
        struct mr_err why = { 0 };
        int code = get_commit(table, snapshot->version - back, &body, &why);
        if (code == MR_E(NOT_FOUND))
            return 0;
        if (code != 0)
            return mr_fail(err, why.code, why.remedy, "%s", why.text);
        if (mr_snapshot_totals(snapshot, mr_buf_slice(&body)))
            return 0;
    }
    return 0;
}

static int
find(struct mr_table *table, struct extent *ret, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *first = mr_printf("%s/_delta_log/", table->path);
    int64_t hint = pointer(table);
    if (hint >= 0) {
        MR_CLEANUP(mr_freep) char *after = mr_log_key(table, hint, "");
        if (list(table, after, ret, err) != 0)
            return err->code;
        if (ret->checkpoint >= hint)
            return 0;
    }
    return list(table, first, ret, err);
}

static int
check(const struct mr_table *table, const struct mr_snapshot *snapshot, struct mr_err *err)
{
    size_t missing;
    if (snapshot->metadata == NULL || snapshot->reader_version == 0)
        return mr_fail(err, MR_E(CORRUPT), MR_FATAL, "%s has no metaData or protocol", table->path);
    if (snapshot->is_partitioned)
        return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL,
                       "%s has partition columns; millrace handles tables without", table->path);
    if (table->has_expected &&
        mr_delta_schema_check(&table->expected, &snapshot->schema, &missing, err) != 0)
        return mr_fail_in(err, "%s", table->path);
    return 0;
}

int
mr_log_load(struct mr_table *table, struct mr_err *err)
{
    struct extent extent;
    if (find(table, &extent, err) != 0)
        return err->code;
    if (extent.commit < 0 && extent.checkpoint < 0)
        return mr_fail(err, MR_E(NOT_FOUND), MR_REJECT, "there is no table at %s", table->path);
    MR_CLEANUP(mr_snapshot_fini) struct mr_snapshot snapshot;
    mr_snapshot_init(&snapshot);
    if (extent.checkpoint >= 0) {
        if (mr_checkpoint_read(table, extent.checkpoint, &snapshot, err) != 0 ||
            totals(table, &snapshot, err) != 0)
            return err->code;
    }
    if (follow(table, &snapshot, extent.commit, err) != 0 || check(table, &snapshot, err) != 0)
        return err->code;
    struct mr_snapshot old = table->snapshot;
    table->snapshot = snapshot;
    snapshot = old;
    return 0;
}

int
mr_log_advance(struct mr_table *table, struct mr_err *err)
{
    int64_t before = table->snapshot.version;
    MR_CLEANUP(mr_freep) char *after = mr_log_key(table, before, ".json");
    struct extent extent;
    if (list(table, after, &extent, err) != 0)
        return err->code;
    if (extent.checkpoint > table->snapshot.checkpoint && extent.checkpoint <= extent.commit)
        table->snapshot.checkpoint = extent.checkpoint;
    struct mr_err why = { 0 };
    int code = follow(table, &table->snapshot, extent.commit, &why);
    if (code == MR_E(NOT_FOUND)) /* cleaned up by others while we looked away */
        code = mr_log_load(table, err);
    else if (code != 0)
        code = mr_fail(err, code, why.remedy, "%s", why.text);
    else
        code = check(table, &table->snapshot, err);
    return code != 0 ? code : (int)(table->snapshot.version - before);
}

int
mr_log_commit_id(struct mr_table *table, int64_t version, char ret_id[MR_UUID_TEXT + 1],
                 struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    mr_buf_init(&body, COMMIT_BYTES_MAX);
    if (get_commit(table, version, &body, err) != 0)
        return err->code;
    /* Ours is the first line; anything else is not our commit. */
    const char *end = body.size > 0 ? memchr(body.data, '\n', body.size) : NULL;
    size_t size = end != NULL ? (size_t)(end - body.data) : body.size;
    struct mr_table_action action;
    struct mr_err why = { 0 };
    ret_id[0] = '\0';
    if (mr_table_parse(mr_slice(body.data, size), &action, &why) == 0 &&
        action.type == MR_ACTION_COMMIT) {
        const char *id = json_string_value(
            json_object_get(json_object_get(action.json, "millrace"), "commit_id"));
        if (id != NULL)
            (void)snprintf(ret_id, MR_UUID_TEXT + 1, "%s", id);
    }
    mr_table_action_fini(&action);
    return 0;
}
