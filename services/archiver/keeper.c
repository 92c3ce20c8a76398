/*
 * What the worker thread owns: the store, the engine, the open tables and the local copies of their
 * data files.
 */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "work.h"

/* With all that lies above it. */
static int
make_dir(const char *path, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *part = mr_strdup(path);
    for (char *end = part + 1;; end++) {
        char c = *end;
        if (c != '/' && c != '\0')
            continue;
        *end = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return mr_fail(err, MR_E(IO), MR_FATAL,
                           "cannot make folder %s: %s; give another work-dir", part,
                           strerror(errno));
        *end = c;
        if (c == '\0')
            return 0;
    }
}

static int
remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    (void)remove(path);
    return 0;
}

/* Files that were being made when a former process was killed. */
static void
sweep(const char *work_dir)
{
    DIR *folder = opendir(work_dir);
    if (folder == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strncmp(entry->d_name, "new-", 4) != 0 && strncmp(entry->d_name, "log-", 4) != 0)
            continue;
        MR_CLEANUP(mr_freep) char *path = mr_printf("%s/%s", work_dir, entry->d_name);
        (void)nftw(path, remove_entry, 4, FTW_DEPTH | FTW_PHYS);
    }
    (void)closedir(folder);
}

int
keeper_open(const struct keeper_options *options, struct keeper **ret, struct mr_err *err)
{
    struct keeper *keeper = mr_alloc(sizeof(*keeper));
    *keeper = (struct keeper){ .store = options->store,
                               .sql = options->sql,
                               .pipeline = mr_strdup(options->pipeline),
                               .cluster = mr_strdup(options->cluster),
                               .work_dir = mr_strdup(options->work_dir),
                               .cache_dir = mr_printf("%s/cache", options->work_dir) };
    if (make_dir(keeper->cache_dir, err) != 0) {
        keeper_close(keeper);
        return err->code;
    }
    sweep(keeper->work_dir);
    *ret = keeper;
    return 0;
}

void
keeper_close(struct keeper *keeper)
{
    if (keeper == NULL)
        return;
    for (size_t i = 0; i < keeper->tables_count; i++) {
        mr_table_close(keeper->tables[i].table);
        free(keeper->tables[i].name);
    }
    free(keeper->tables);
    mr_sql_close(keeper->sql);
    mr_store_close(keeper->store);
    free(keeper->pipeline);
    free(keeper->cluster);
    free(keeper->work_dir);
    free(keeper->cache_dir);
    free(keeper);
}

static struct keeper_table *
entry_of(struct keeper *keeper, const char *name)
{
    for (size_t i = 0; i < keeper->tables_count; i++)
        if (strcmp(keeper->tables[i].name, name) == 0)
            return &keeper->tables[i];
    keeper->tables =
        mr_realloc(keeper->tables, (keeper->tables_count + 1) * sizeof(*keeper->tables));
    struct keeper_table *entry = &keeper->tables[keeper->tables_count++];
    *entry = (struct keeper_table){ .name = mr_strdup(name) };
    return entry;
}

int
keeper_table(struct keeper *keeper, const char *name, const struct mr_schema *schema, bool create,
             struct keeper_table **ret, struct mr_err *err)
{
    struct keeper_table *entry = entry_of(keeper, name);
    if (entry->table == NULL || entry->schema != schema) {
        MR_CLEANUP(mr_freep) char *path = mr_printf("tables/%s", name);
        struct mr_table_options options = { .store = keeper->store,
                                            .sql = keeper->sql,
                                            .path = path,
                                            .schema = schema,
                                            .work_dir = keeper->work_dir };
        struct mr_table *table = NULL;
        if (mr_table_open(&options, create, &table, err) != 0)
            return err->code;
        mr_table_close(entry->table);
        entry->table = table;
        entry->schema = schema;
        unsigned serial = keeper->serial++;
        (void)snprintf(entry->relation, sizeof(entry->relation), "batch_%u", serial);
        (void)snprintf(entry->hits, sizeof(entry->hits), "hits_%u", serial);
        if (mr_sql_relation(keeper->sql, entry->relation, schema, err) != 0)
            return err->code;
    }
    *ret = entry;
    return 0;
}

void
keeper_app_id(const struct keeper *keeper, const struct mr_part *part,
              char ret_app_id[MR_TABLE_APP_MAX + 1])
{
    char topic_id[2 * MR_TOPIC_ID_BYTES + 1];
    mr_hex(part->topic_id, MR_TOPIC_ID_BYTES, topic_id);
    int length = snprintf(ret_app_id, MR_TABLE_APP_MAX + 1, "%s/%s/%s/%s/%d", keeper->pipeline,
                          keeper->cluster, topic_id, part->topic, (int)part->partition);
    MR_ASSERT(length > 0 && length <= MR_TABLE_APP_MAX);
}
