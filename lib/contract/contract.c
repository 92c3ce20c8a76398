/*
 * A folder of kinds becomes a set, read once and whole; all that it holds lies in one arena and
 * goes with it. A reload opens a second set, compares and exchanges the pointer.
 */
#include "contract/contract.h"

#include "contract/private.h"
#include "names/names.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { KINDS_MAX = 256, FILE_BYTES_MAX = 1 << 20 };

struct mr_contracts {
    struct mr_arena arena;
    struct mr_kind kinds[KINDS_MAX]; /* by name */
    size_t count;
};

/* ---- files ---- */

static int
read_file(const char *dir, const char *kind, const char *file, struct mr_buf *ret,
          struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *path = mr_printf("%s/%s/%s", dir, kind, file);
    FILE *from = fopen(path, "re");
    if (from == NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s cannot be read (%s): run tools/kinds",
                       path, strerror(errno));
    char part[4096];
    for (size_t got; (got = fread(part, 1, sizeof(part), from)) > 0;)
        mr_buf_put(ret, part, got);
    bool failed = ferror(from) != 0;
    (void)fclose(from);
    if (failed)
        return mr_fail(err, MR_E(IO), MR_FATAL, "%s cannot be read to its end", path);
    if (ret->failed || ret->size == 0)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s is empty or larger than %d bytes", path,
                       FILE_BYTES_MAX);
    return 0;
}

static int
read_kind(struct mr_contracts *contracts, const char *dir, const char *name, struct mr_err *err)
{
    struct mr_kind *kind = &contracts->kinds[contracts->count];
    MR_CLEANUP(mr_freep) char *set_name = mr_printf("%s.binpb", name);
    MR_CLEANUP(mr_buf_fini) struct mr_buf descriptors, sql;
    mr_buf_init(&descriptors, FILE_BYTES_MAX);
    mr_buf_init(&sql, FILE_BYTES_MAX);
    if (read_file(dir, name, set_name, &descriptors, err) != 0 ||
        read_file(dir, name, "clean.sql", &sql, err) != 0)
        return err->code;
    contracts->count++;
    kind->name = mr_arena_copy(&contracts->arena, name, strlen(name));
    kind->clean_sql = mr_arena_copy(&contracts->arena, sql.data, sql.size);
    return mr_kind_load(mr_buf_slice(&descriptors), &contracts->arena, kind, err);
}

/* ---- the set ---- */

static int
read_folder(struct mr_contracts *contracts, const char *dir, struct dirent **entries, size_t count,
            struct mr_err *err)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (!mr_kind_ok(mr_slice_text(name)))
            return mr_fail(
                err, MR_E(INVALID), MR_FATAL,
                "%s/%s: a kind's name is [a-z][a-z0-9]{0,31}, not valid clean dead table", dir,
                name);
        if (contracts->count == KINDS_MAX)
            return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL, "%s holds more than %d kinds", dir,
                           KINDS_MAX);
        if (read_kind(contracts, dir, name, err) != 0)
            return mr_fail_in(err, "kind %s", name);
    }
    if (contracts->count == 0)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s holds no kind: fill it with tools/kinds",
                       dir);
    return 0;
}

static int
is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.' &&
           (entry->d_type == DT_DIR || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN);
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* alphasort would ask the locale */
}

int
mr_contracts_open(const char *dir, struct mr_contracts **ret, struct mr_err *err)
{
    MR_ASSERT(dir != NULL && ret != NULL);
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, is_shown, by_name);
    if (count < 0)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "kinds folder %s cannot be read: %s", dir,
                       strerror(errno));
    MR_CLEANUP(mr_contracts_closep) struct mr_contracts *contracts = mr_alloc(sizeof(*contracts));
    mr_arena_init(&contracts->arena);
    int code = read_folder(contracts, dir, entries, (size_t)count, err);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    if (code == 0)
        *ret = MR_TAKE(contracts);
    return code;
}

void
mr_contracts_close(struct mr_contracts *contracts)
{
    if (contracts == NULL)
        return;
    for (size_t i = 0; i < contracts->count; i++)
        mr_kind_fini(&contracts->kinds[i]);
    mr_arena_fini(&contracts->arena);
    free(contracts);
}

void
mr_contracts_closep(struct mr_contracts **contracts)
{
    mr_contracts_close(*contracts);
    *contracts = NULL;
}

size_t
mr_contracts_count(const struct mr_contracts *contracts)
{
    return contracts->count;
}

const struct mr_kind *
mr_contracts_at(const struct mr_contracts *contracts, size_t i)
{
    MR_ASSERT(i < contracts->count);
    return &contracts->kinds[i];
}

const struct mr_kind *
mr_contracts_find(const struct mr_contracts *contracts, const char *kind)
{
    for (size_t i = 0; i < contracts->count; i++)
        if (strcmp(contracts->kinds[i].name, kind) == 0)
            return &contracts->kinds[i];
    return NULL;
}

/* ---- may one set replace another? ---- */

static int
compare_field(const struct mr_plan_field *now, const struct mr_plan *next, struct mr_err *err)
{
    const char *name = now->column->name;
    for (size_t i = 0; i < next->count; i++) {
        const struct mr_plan_field *field = &next->fields[i];
        if (strcmp(field->column->name, name) != 0)
            continue;
        if (field->number != now->number)
            return mr_fail(err, MR_E(INVALID), MR_REJECT,
                           "field %s: its number %u became %u: give it back", name, now->number,
                           field->number);
        if (field->column->type != now->column->type ||
            field->column->is_list != now->column->is_list)
            return mr_fail(err, MR_E(INVALID), MR_REJECT,
                           "field %s: its type changed: add a new field instead", name);
        return 0;
    }
    return mr_fail(err, MR_E(INVALID), MR_REJECT, "field %s was removed: keep it", name);
}

static int
compare_plans(const struct mr_plan *now, const struct mr_plan *next, struct mr_err *err)
{
    for (size_t i = 0; i < now->count; i++)
        if (compare_field(&now->fields[i], next, err) != 0)
            return err->code;
    return 0;
}

static const char *
key_name(const struct mr_schema *schema, int key)
{
    return key >= 0 ? schema->fields[key].name : "";
}

static int
compare_kinds(const struct mr_kind *now, const struct mr_kind *next, struct mr_err *err)
{
    if (compare_plans(&now->private_->input, &next->private_->input, err) != 0)
        return mr_fail_in(err, "input");
    if (compare_plans(&now->private_->output, &next->private_->output, err) != 0)
        return mr_fail_in(err, "output");
    if (strcmp(key_name(&now->input, now->key_in), key_name(&next->input, next->key_in)) != 0 ||
        strcmp(key_name(&now->output, now->key_out), key_name(&next->output, next->key_out)) != 0)
        return mr_fail(err, MR_E(INVALID), MR_REJECT, "its key %s changed: make a new kind instead",
                       key_name(&now->input, now->key_in));
    if (next->version < now->version)
        return mr_fail(err, MR_E(INVALID), MR_REJECT, "version went back from %u to %u",
                       now->version, next->version);
    if (next->version == now->version && next->private_->digest != now->private_->digest)
        return mr_fail(err, MR_E(INVALID), MR_REJECT,
                       "it changed but version stayed %u: raise it with every change",
                       now->version);
    return 0;
}

int
mr_contracts_compatible(const struct mr_contracts *now, const struct mr_contracts *next,
                        struct mr_err *err)
{
    for (size_t i = 0; i < now->count; i++) {
        const struct mr_kind *kind = &now->kinds[i];
        const struct mr_kind *then = mr_contracts_find(next, kind->name);
        if (then == NULL)
            return mr_fail(err, MR_E(INVALID), MR_REJECT, "kind %s was removed: keep its folder",
                           kind->name);
        if (compare_kinds(kind, then, err) != 0)
            return mr_fail_in(err, "kind %s", kind->name);
    }
    return 0;
}
