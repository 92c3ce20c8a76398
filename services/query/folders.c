/*
 * Folders of a query process. The work folder is locked, for two processes would delete each
 * other's files; the tails stand in a folder of our own, locked too, so that the next process can
 * tell what a crashed one left from what is in use. A lock ends with its process.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "query.h"

static int
remove_entry(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info, (void)type, (void)place;
    return remove(path);
}

void
folder_remove(const char *path)
{
    (void)nftw(path, remove_entry, 4, FTW_DEPTH | FTW_PHYS);
}

/* A descriptor that holds the lock of a folder, or -1 when somebody else does. */
static int
lock_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int
open_work(struct query *q, struct mr_err *err)
{
    static const char *const below[] = { "", "/cache", "/spill" };
    for (size_t i = 0; i < MR_COUNT(below); i++) {
        MR_CLEANUP(mr_freep) char *path = mr_printf("%s%s", q->options.work_dir, below[i]);
        if (i == 2)
            folder_remove(path);
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return mr_fail(err, MR_E(IO), MR_FATAL, "option --work-dir: %s cannot be made: %s",
                           path, strerror(errno));
        if (i == 0 && (q->lock_fd = lock_folder(path)) < 0)
            return mr_fail(err, MR_E(IO), MR_FATAL,
                           "option --work-dir: %s is in use by another process: give each its own",
                           path);
    }
    return 0;
}

static void
remove_stale(const char *shm_dir)
{
    DIR *dir = opendir(shm_dir);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, "millrace-query.", strlen("millrace-query.")) != 0)
            continue;
        MR_CLEANUP(mr_freep) char *path = mr_printf("%s/%s", shm_dir, entry->d_name);
        int fd = lock_folder(path);
        if (fd < 0)
            continue;
        folder_remove(path);
        (void)close(fd);
    }
    if (dir != NULL)
        (void)closedir(dir);
}

static int
open_shm(struct query *q, struct mr_err *err)
{
    const char *parent = q->options.shm_dir;
    remove_stale(parent);
    /* Another process that starts now may take ours for stale before it is locked: once more. */
    for (int i = 0; i < 3; i++) {
        MR_CLEANUP(mr_freep) char *path = mr_printf("%s/millrace-query.XXXXXX", parent);
        if (mkdtemp(path) == NULL)
            return mr_fail(err, MR_E(IO), MR_FATAL, "option --shm-dir: %s cannot be made: %s", path,
                           strerror(errno));
        q->shm_fd = lock_folder(path);
        if (q->shm_fd >= 0 && access(path, W_OK) == 0) {
            q->options.shm_dir = MR_TAKE(path);
            return 0;
        }
    }
    return mr_fail(err, MR_E(IO), MR_FATAL, "option --shm-dir: %s: no folder of our own", parent);
}

int
folders_open(struct query *q, struct mr_err *err)
{
    return open_work(q, err) != 0 ? err->code : open_shm(q, err);
}

void
folders_close(struct query *q)
{
    folder_remove(q->options.shm_dir);
    free((char *)(uintptr_t)q->options.shm_dir);
    (void)close(q->shm_fd);
    (void)close(q->lock_fd);
}

static bool
is_used(const struct query *q, const char *path)
{
    for (size_t i = 0; i < q->tables_count; i++)
        for (size_t j = 0; j < q->tables[i]->snapshot->files_count; j++)
            if (strcmp(q->tables[i]->snapshot->files[j], path) == 0)
                return true;
    return false;
}

void
folders_sweep_cache(const struct query *q)
{
    MR_CLEANUP(mr_freep) char *cache = mr_printf("%s/cache", q->options.work_dir);
    DIR *dir = opendir(cache);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        MR_CLEANUP(mr_freep) char *path = mr_printf("%s/%s", cache, entry->d_name);
        if (entry->d_type == DT_REG && !is_used(q, path))
            (void)unlink(path);
    }
    if (dir != NULL)
        (void)closedir(dir);
}
