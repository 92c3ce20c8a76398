/*
 * What a log says up to one version. A commit is parsed and checked whole before anything of it is
 * taken in, so that a damaged one leaves the snapshot where it was.
 *
 * Paths are looked up by a hash table of indices beside the array of files; it is made anew when
 * files went away or it is half full.
 */
#include "table/private.h"

#include <stdlib.h>

void
mr_snapshot_init(struct mr_snapshot *snapshot)
{
    *snapshot = (struct mr_snapshot){ .version = -1, .checkpoint = -1 };
}

void
mr_snapshot_fini(struct mr_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->files_count; i++)
        free(snapshot->files[i].path);
    free(snapshot->files);
    free(snapshot->slots);
    free(snapshot->parts);
    json_decref(snapshot->metadata);
    mr_schema_fini(&snapshot->schema);
    mr_snapshot_init(snapshot);
}

/* ---- files ---- */

/* The slot that holds path, or the free one where it belongs. */
static size_t
slot_of(const struct mr_snapshot *snapshot, const char *path)
{
    size_t mask = snapshot->slots_count - 1;
    size_t at = mr_hash64(path, strlen(path), 0) & mask;
    for (;; at = (at + 1) & mask) {
        uint32_t index = snapshot->slots[at];
        if (index == 0)
            return at;
        const char *other = snapshot->files[index - 1].path;
        if (other != NULL && strcmp(other, path) == 0)
            return at;
    }
}

static void
index_again(struct mr_snapshot *snapshot)
{
    size_t count = 64;
    while (count < snapshot->files_count * 4)
        count *= 2;
    free(snapshot->slots);
    snapshot->slots = mr_alloc(count * sizeof(*snapshot->slots));
    snapshot->slots_count = count;
    for (size_t i = 0; i < snapshot->files_count; i++)
        if (snapshot->files[i].path != NULL)
            snapshot->slots[slot_of(snapshot, snapshot->files[i].path)] = (uint32_t)(i + 1);
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Paths stand URI-encoded in the log. */
static char *
path_decode(const char *text)
{
    char *path = mr_alloc(strlen(text) + 1), *to = path;
    for (const char *from = text; *from != '\0'; from++) {
        if (from[0] == '%' && hex_digit(from[1]) >= 0 && hex_digit(from[2]) >= 0) {
            *to++ = (char)(hex_digit(from[1]) * 16 + hex_digit(from[2]));
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    return path;
}

static int64_t
rows_of(const json_t *add)
{
    const char *text = json_string_value(json_object_get(add, "stats"));
    json_t *stats = text != NULL ? json_loads(text, 0, NULL) : NULL;
    const json_t *rows = json_object_get(stats, "numRecords");
    int64_t count = json_is_integer(rows) ? json_integer_value(rows) : -1;
    json_decref(stats);
    return count;
}

static void
file_add(struct mr_snapshot *snapshot, int64_t version, const json_t *add)
{
    struct mr_table_file file = {
        .path = path_decode(json_string_value(json_object_get(add, "path"))),
        .bytes = json_integer_value(json_object_get(add, "size")),
        .rows = rows_of(add),
        .version = version,
    };
    if (snapshot->slots_count < (snapshot->files_count + 1) * 2)
        index_again(snapshot);
    size_t slot = slot_of(snapshot, file.path);
    if (snapshot->slots[slot] != 0) { /* the same file once more: its newest entry counts */
        struct mr_table_file *old = &snapshot->files[snapshot->slots[slot] - 1];
        free(old->path);
        *old = file;
        return;
    }
    if (snapshot->files_count == snapshot->files_capacity) {
        snapshot->files_capacity = snapshot->files_capacity * 2 + 64;
        snapshot->files =
            mr_realloc(snapshot->files, snapshot->files_capacity * sizeof(*snapshot->files));
    }
    snapshot->files[snapshot->files_count++] = file;
    snapshot->slots[slot] = (uint32_t)snapshot->files_count;
}

static void
file_remove(struct mr_snapshot *snapshot, const json_t *remove)
{
    if (snapshot->slots_count == 0)
        return;
    MR_CLEANUP(mr_freep)
    char *path = path_decode(json_string_value(json_object_get(remove, "path")));
    uint32_t index = snapshot->slots[slot_of(snapshot, path)];
    if (index != 0)
        free(MR_TAKE(snapshot->files[index - 1].path));
}

static void
files_close_gaps(struct mr_snapshot *snapshot)
{
    size_t kept = 0;
    for (size_t i = 0; i < snapshot->files_count; i++)
        if (snapshot->files[i].path != NULL)
            snapshot->files[kept++] = snapshot->files[i];
    snapshot->files_count = kept;
    index_again(snapshot);
}

/* ---- partitions ---- */

struct mr_table_part *
mr_snapshot_part(const struct mr_snapshot *snapshot, const char *app_id)
{
    for (size_t i = 0; i < snapshot->parts_count; i++)
        if (strcmp(snapshot->parts[i].app_id, app_id) == 0)
            return &snapshot->parts[i];
    return NULL;
}

/* NULL: an id longer than any of ours; its owner is somebody else. */
static struct mr_table_part *
part_need(struct mr_snapshot *snapshot, const char *app_id)
{
    struct mr_table_part *part = mr_snapshot_part(snapshot, app_id);
    if (part != NULL || strlen(app_id) > MR_TABLE_APP_MAX)
        return part;
    snapshot->parts =
        mr_realloc(snapshot->parts, (snapshot->parts_count + 1) * sizeof(*snapshot->parts));
    part = &snapshot->parts[snapshot->parts_count++];
    *part = (struct mr_table_part){ .next = -1 };
    memcpy(part->app_id, app_id, strlen(app_id));
    return part;
}

static bool
take_totals(struct mr_snapshot *snapshot, const json_t *commit)
{
    json_t *totals = json_object_get(json_object_get(commit, "millrace"), "totals");
    const char *app_id;
    json_t *counts;
    if (!json_is_object(totals))
        return false;
    json_object_foreach(totals, app_id, counts)
    {
        struct mr_table_part *part = part_need(snapshot, app_id);
        if (part == NULL)
            continue;
        part->good = json_integer_value(json_object_get(counts, "good"));
        part->repeated = json_integer_value(json_object_get(counts, "repeated"));
    }
    snapshot->has_totals = true;
    return true;
}

/* ---- actions ---- */

static int
metadata_check(const json_t *metadata, struct mr_err *err)
{
    struct mr_schema schema = { 0 };
    if (mr_delta_schema_parse(json_string_value(json_object_get(metadata, "schemaString")), &schema,
                              err) != 0)
        return err->code;
    mr_schema_fini(&schema);
    return 0;
}

static void
take_metadata(struct mr_snapshot *snapshot, json_t *metadata)
{
    struct mr_err err = { 0 };
    mr_schema_fini(&snapshot->schema);
    int code = mr_delta_schema_parse(json_string_value(json_object_get(metadata, "schemaString")),
                                     &snapshot->schema, &err);
    MR_ASSERT(code == 0); /* metadata_check came first */
    json_decref(snapshot->metadata);
    snapshot->metadata = json_incref(metadata);
    snapshot->is_partitioned = json_array_size(json_object_get(metadata, "partitionColumns")) > 0;
}

static void
take(struct mr_snapshot *snapshot, int64_t version, const struct mr_table_action *action)
{
    const json_t *json = action->json;
    struct mr_table_part *part;
    switch (action->type) {
    case MR_ACTION_PROTOCOL:
        snapshot->reader_version =
            (int)json_integer_value(json_object_get(json, "minReaderVersion"));
        snapshot->writer_version =
            (int)json_integer_value(json_object_get(json, "minWriterVersion"));
        break;
    case MR_ACTION_METADATA:
        take_metadata(snapshot, action->json);
        break;
    case MR_ACTION_TXN:
        part = part_need(snapshot, json_string_value(json_object_get(json, "appId")));
        if (part != NULL)
            part->next = json_integer_value(json_object_get(json, "version"));
        break;
    case MR_ACTION_ADD:
        file_add(snapshot, version, json);
        break;
    case MR_ACTION_REMOVE:
        file_remove(snapshot, json);
        break;
    case MR_ACTION_COMMIT:
        (void)take_totals(snapshot, json);
        break;
    case MR_ACTION_OTHER:
        break;
    }
}

/* ---- commits ---- */

struct commit {
    struct mr_table_action *actions;
    size_t count, capacity, adds;
};

static void
commit_fini(struct commit *commit)
{
    for (size_t i = 0; i < commit->count; i++)
        mr_table_action_fini(&commit->actions[i]);
    free(commit->actions);
}

static int
check(const struct mr_snapshot *snapshot, struct commit *commit,
      const struct mr_table_action *action, struct mr_err *err)
{
    if (action->type == MR_ACTION_METADATA)
        return metadata_check(action->json, err);
    if (action->type == MR_ACTION_ADD) {
        if (snapshot->files_count + ++commit->adds > MR_TABLE_FILES_MAX)
            return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL,
                           "the table has more than %d files: compact it", MR_TABLE_FILES_MAX);
        return 0;
    }
    if (action->type == MR_ACTION_PROTOCOL &&
        json_integer_value(json_object_get(action->json, "minReaderVersion")) > 1)
        return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL,
                       "the table needs Delta reader version %lld, millrace reads 1",
                       json_integer_value(json_object_get(action->json, "minReaderVersion")));
    if (action->type != MR_ACTION_TXN)
        return 0;
    const json_t *id = json_object_get(action->json, "appId");
    for (size_t i = 0; i < commit->count; i++)
        if (commit->actions[i].type == MR_ACTION_TXN &&
            json_equal(json_object_get(commit->actions[i].json, "appId"), id))
            return mr_fail(err, MR_E(CORRUPT), MR_FATAL, "a commit names txn %s twice",
                           json_string_value(id));
    return 0;
}

static int
commit_line(const struct mr_snapshot *snapshot, struct commit *commit, struct mr_slice line,
            struct mr_err *err)
{
    struct mr_table_action action;
    if (mr_table_parse(line, &action, err) != 0)
        return err->code;
    if (check(snapshot, commit, &action, err) != 0) {
        mr_table_action_fini(&action);
        return err->code;
    }
    if (commit->count == commit->capacity) {
        commit->capacity = commit->capacity * 2 + 16;
        commit->actions = mr_realloc(commit->actions, commit->capacity * sizeof(action));
    }
    commit->actions[commit->count++] = action;
    return 0;
}

/* The next line of text, which is moved behind it. */
static struct mr_slice
line_next(struct mr_slice *text)
{
    const char *data = text->data;
    const char *end = memchr(data, '\n', text->size);
    size_t size = end != NULL ? (size_t)(end - data) : text->size;
    size_t used = end != NULL ? size + 1 : size;
    *text = mr_slice(data + used, text->size - used);
    return mr_slice(data, size);
}

int
mr_snapshot_apply(struct mr_snapshot *snapshot, int64_t version, struct mr_slice text,
                  struct mr_err *err)
{
    MR_ASSERT(version == snapshot->version + 1);
    MR_CLEANUP(commit_fini) struct commit commit = { 0 };
    bool removes = false;
    while (text.size > 0)
        if (commit_line(snapshot, &commit, line_next(&text), err) != 0)
            return mr_fail_in(err, "commit %lld", (long long)version);
    for (size_t i = 0; i < commit.count; i++) {
        take(snapshot, version, &commit.actions[i]);
        removes |= commit.actions[i].type == MR_ACTION_REMOVE;
    }
    if (removes)
        files_close_gaps(snapshot);
    snapshot->version = version;
    return 0;
}

int
mr_snapshot_restore(struct mr_snapshot *snapshot, int64_t version, struct mr_slice line,
                    struct mr_err *err)
{
    MR_CLEANUP(commit_fini) struct commit one = { 0 };
    if (commit_line(snapshot, &one, line, err) != 0)
        return mr_fail_in(err, "checkpoint %lld", (long long)version);
    take(snapshot, version, &one.actions[0]);
    snapshot->version = version;
    return 0;
}

bool
mr_snapshot_totals(struct mr_snapshot *snapshot, struct mr_slice text)
{
    bool found = false;
    while (text.size > 0 && !found) {
        struct mr_table_action action;
        struct mr_err err = { 0 };
        if (mr_table_parse(line_next(&text), &action, &err) == 0 && action.type == MR_ACTION_COMMIT)
            found = take_totals(snapshot, action.json);
        mr_table_action_fini(&action);
    }
    return found;
}
