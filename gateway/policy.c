/*
 * Files are judged by what was opened, not by name, so that what is read is what was checked. Those
 * with secrets must be private as PostgreSQL asks it of key files: nobody else's, or root's and
 * readable for a group, which is how clusters mount secrets.
 */
#include "gateway/policy.h"

#include "gateway/policy_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files ---- */

static bool
is_shared(const struct stat *about)
{
    bool is_mounted = about->st_uid == 0 && geteuid() != 0;
    return (about->st_mode & (is_mounted ? 037 : 077)) != 0;
}

static int
check_private(const struct policy_file *file, struct mr_err *err)
{
    if (!file->is_shared)
        return 0;
    return mr_fail(err, MR_E(INVALID), MR_FATAL,
                   "%s holds secrets and others may open it: chmod 600 it", file->path);
}

int
policy_private(const struct policy *policy, struct mr_err *err)
{
    MR_ASSERT(policy->files_count > 0);
    return check_private(&policy->files[policy->files_count - 1], err);
}

static int
read_all(int fd, const char *path, struct mr_buf *ret_bytes, struct mr_err *err)
{
    char piece[16 * 1024];
    ssize_t count;
    while ((count = read(fd, piece, sizeof(piece))) > 0)
        mr_buf_put(ret_bytes, piece, (size_t)count);
    if (count < 0)
        return mr_fail(err, MR_E(IO), MR_FATAL, "%s: %s", path, strerror(errno));
    if (ret_bytes->failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL, "%s has more than %zu bytes", path,
                       ret_bytes->max);
    return 0;
}

static int
take_file(struct policy *policy, const char *path, struct mr_buf *ret_bytes, struct mr_err *err)
{
    struct stat about;
    if (policy->files_count == POLICY_FILES_MAX)
        return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL, "more than %d files are named",
                       POLICY_FILES_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return mr_fail(err, MR_E(NOT_FOUND), MR_FATAL, "%s: %s", path, strerror(errno));
    int code = 0;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
        code = mr_fail(err, MR_E(INVALID), MR_FATAL, "%s is not a file", path);
    else
        code = read_all(fd, path, ret_bytes, err);
    (void)close(fd);
    if (code != 0)
        return code;
    policy->files[policy->files_count++] = (struct policy_file){
        .path = mr_strdup(path),
        .is_shared = is_shared(&about),
        .changed = about.st_mtim,
        .size = about.st_size,
        .inode = (long long)about.st_ino,
    };
    return 0;
}

int
policy_file(struct policy *policy, const char *name, struct mr_buf *ret_bytes, struct mr_err *err)
{
    MR_ASSERT(policy->files_count > 0);
    const char *own = policy->files[0].path;
    const char *slash = strrchr(own, '/');
    int folder = slash != NULL && name[0] != '/' ? (int)(slash - own) + 1 : 0;
    MR_CLEANUP(mr_freep) char *path = mr_printf("%.*s%s", folder, own, name);
    return take_file(policy, path, ret_bytes, err);
}

bool
policy_changed(const struct policy *policy)
{
    for (size_t i = 0; i < policy->files_count; i++) {
        const struct policy_file *file = &policy->files[i];
        struct stat about;
        if (stat(file->path, &about) != 0 || about.st_mtim.tv_sec != file->changed.tv_sec ||
            about.st_mtim.tv_nsec != file->changed.tv_nsec || about.st_size != file->size ||
            (long long)about.st_ino != file->inode)
            return true;
    }
    return false;
}

/* ---- open, close, find ---- */

static int
load(struct policy *policy, const char *path, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf bytes;
    json_error_t where;
    mr_buf_init(&bytes, POLICY_BYTES_MAX);
    if (take_file(policy, path, &bytes, err) != 0)
        return err->code;
    policy->json =
        json_loadb(bytes.size > 0 ? bytes.data : "", bytes.size, JSON_REJECT_DUPLICATES, &where);
    if (policy->json == NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s: %s (line %d)", path, where.text,
                       where.line);
    if (policy_read(policy, err) != 0)
        return mr_fail_in(err, "%s", path);
    return policy->has_secrets ? check_private(&policy->files[0], err) : 0;
}

int
policy_open(const char *path, struct policy **ret, struct mr_err *err)
{
    MR_ASSERT(path != NULL);
    MR_ASSERT(ret != NULL);
    MR_CLEANUP(policy_closep) struct policy *policy = mr_alloc(sizeof(*policy));
    mr_arena_init(&policy->arena);
    if (load(policy, path, err) != 0)
        return mr_fail_in(err, "policy");
    *ret = MR_TAKE(policy);
    return 0;
}

void
policy_close(struct policy *policy)
{
    if (policy == NULL)
        return;
    for (size_t i = 0; i < policy->files_count; i++)
        free(policy->files[i].path);
    for (int method = 0; method < METHODS; method++)
        free(policy->credentials[method]);
    json_decref(policy->json);
    mr_arena_fini(&policy->arena);
    free(policy);
}

void
policy_closep(struct policy **policy)
{
    policy_close(*policy);
}

static int
by_name(const void *name, const void *credential)
{
    return strcmp(name, ((const struct credential *)credential)->name);
}

const struct credential *
policy_find(const struct policy *policy, enum method method, const char *name)
{
    if (policy->credentials_count[method] == 0)
        return NULL;
    return bsearch(name, policy->credentials[method], policy->credentials_count[method],
                   sizeof(struct credential), by_name);
}
