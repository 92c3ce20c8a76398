/*
 * file: the store in a folder of the local machine.
 *
 * An object is written under a temporary name, gets its metadata as user xattrs, is synced and
 * then linked (create) or renamed (put) to its name: a reader sees all of it or nothing, and
 * link(2) lets exactly one creator win. Names are opened relative to the folder's descriptor.
 * Rejected: O_TMPFILE, which NFS and older overlayfs lack; a file of metadata beside the object,
 * which cannot appear in the same instant.
 */
#include "store/file.h"

#include "clock/clock.h"
#include "store/driver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { CHUNK_BYTES = 256 * 1024, NAMES_BYTES_MAX = 64 * 1024, LEFTOVER_AGE_MS = 24 * 3600 * 1000 };

#define XATTR "user.millrace."

struct file {
    int dir_fd; /* the store's folder */
    int own_fd; /* our folder in it, for temporary files */
    char *url;
};

static void
closep(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* ---- put ---- */

static bool
write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        size -= (size_t)written;
    }
    return true;
}

/* Bytes [from, from + count) of one file to the position of another. */
static bool
copy_bytes(int source, int64_t from, int64_t count, int sink)
{
    MR_CLEANUP(mr_freep) char *chunk = mr_alloc(CHUNK_BYTES);
    while (count > 0) {
        size_t bytes = count < CHUNK_BYTES ? (size_t)count : CHUNK_BYTES;
        ssize_t got = pread(source, chunk, bytes, from);
        if (got == 0)
            errno = ENODATA;
        if (got <= 0 || !write_all(sink, chunk, (size_t)got))
            return false;
        from += got;
        count -= got;
    }
    return true;
}

static bool
write_meta(int fd, const struct mr_meta *meta)
{
    for (size_t i = 0; meta != NULL && i < meta->count; i++) {
        char name[sizeof(XATTR) + MR_STORE_NAME_MAX];
        const char *value = meta->items[i].value;
        (void)snprintf(name, sizeof(name), XATTR "%s", meta->items[i].name);
        if (fsetxattr(fd, name, value, strlen(value), 0) != 0)
            return false;
    }
    return true;
}

static int
write_temporary(const struct file *file, const char *temporary, const struct mr_store_call *call,
                struct mr_err *err)
{
    MR_CLEANUP(closep)
    int fd = openat(file->own_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        /* Only when somebody removed our folder; as NOT_FOUND it would look like the object. */
        errno = errno == ENOENT ? ESTALE : errno;
        return mr_store_errno(err, "%s/" MR_STORE_OWN, file->url);
    }
    bool written = call->fd >= 0 ? copy_bytes(call->fd, 0, call->bytes, fd)
                                 : write_all(fd, call->body.data, call->body.size);
    if (!written || !write_meta(fd, call->meta) || fsync(fd) != 0)
        return mr_store_errno(err, "%s/%.200s", file->url, call->key);
    return 0;
}

/* The folder a key stands in, "." for the top. */
static void
folder_of(const char *key, char ret_folder[MR_STORE_KEY_MAX + 1])
{
    const char *slash = strrchr(key, '/');
    (void)snprintf(ret_folder, MR_STORE_KEY_MAX + 1, "%.*s", slash != NULL ? (int)(slash - key) : 1,
                   slash != NULL ? key : ".");
}

static bool
sync_folder(const struct file *file, const char *folder)
{
    MR_CLEANUP(closep)
    int fd = openat(file->dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0;
}

/* Makes the folders above key; each one made is synced into the folder it stands in. */
static bool
make_folders(const struct file *file, const char *key)
{
    char folder[MR_STORE_KEY_MAX + 1], above[MR_STORE_KEY_MAX + 1];
    for (const char *slash = strchr(key, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - key), key);
        if (mkdirat(file->dir_fd, folder, 0755) != 0) {
            if (errno != EEXIST)
                return false;
            continue;
        }
        folder_of(folder, above);
        if (!sync_folder(file, above))
            return false;
    }
    return true;
}

static int
place(const struct file *file, const char *temporary, const struct mr_store_call *call,
      struct mr_err *err)
{
    char folder[MR_STORE_KEY_MAX + 1];
    bool placed = make_folders(file, call->key);
    if (placed && call->create)
        placed = linkat(file->own_fd, temporary, file->dir_fd, call->key, 0) == 0;
    else if (placed)
        placed = renameat(file->own_fd, temporary, file->dir_fd, call->key) == 0;
    if (!placed && (errno == ENOTDIR || errno == EISDIR || errno == ENOENT))
        return mr_fail(err, MR_E(INVALID), MR_REJECT,
                       "%s/%.200s: a folder cannot be an object, nor an object a folder, in a "
                       "store of files",
                       file->url, call->key);
    folder_of(call->key, folder);
    if (!placed || !sync_folder(file, folder))
        return mr_store_errno(err, "%s/%.200s", file->url, call->key);
    return 0;
}

static int
file_put(void *state, struct mr_store_call *call, struct mr_err *err)
{
    const struct file *file = state;
    char uuid[MR_UUID_TEXT + 1], temporary[MR_UUID_TEXT + 8];
    mr_uuid_text(uuid);
    (void)snprintf(temporary, sizeof(temporary), "tmp-%s", uuid);
    int code = write_temporary(file, temporary, call, err);
    if (code == 0)
        code = place(file, temporary, call, err);
    /* After a rename there is none any more. */
    (void)unlinkat(file->own_fd, temporary, 0);
    return code;
}

/* ---- get, head, remove ---- */

static int
read_meta(int fd, struct mr_meta *ret)
{
    MR_CLEANUP(mr_freep) char *names = mr_alloc(NAMES_BYTES_MAX);
    ssize_t size = flistxattr(fd, names, NAMES_BYTES_MAX);
    memset(ret, 0, sizeof(*ret));
    if (size < 0)
        return -1;
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1) {
        char value[MR_STORE_VALUE_MAX + 1];
        const char *name = names + at;
        if (strncmp(name, XATTR, sizeof(XATTR) - 1) != 0)
            continue;
        ssize_t bytes = fgetxattr(fd, name, value, sizeof(value));
        if (bytes >= 0)
            mr_meta_add(ret, mr_slice_text(name + sizeof(XATTR) - 1),
                        mr_slice(value, (size_t)bytes));
        else if (errno != ERANGE)
            return -1;
    }
    return 0;
}

static int64_t
modified_ms(const struct stat *stat)
{
    return stat->st_mtim.tv_sec * 1000LL + stat->st_mtim.tv_nsec / 1000000;
}

static int
open_object(const struct file *file, const char *key, int *ret_fd, struct stat *ret_stat,
            struct mr_err *err)
{
    int fd = openat(file->dir_fd, key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, ret_stat) != 0 || !S_ISREG(ret_stat->st_mode)) {
        errno = fd >= 0 || errno == ELOOP || errno == ENXIO ? ENOENT : errno;
        (void)mr_store_errno(err, "%s/%.200s", file->url, key);
        closep(&fd);
        return err->code;
    }
    *ret_fd = fd;
    return 0;
}

static bool
read_bytes(int fd, int64_t from, int64_t count, struct mr_buf *ret)
{
    char *room = mr_buf_extend(ret, (size_t)count);
    while (room != NULL && count > 0) {
        ssize_t got = pread(fd, room, (size_t)count, from);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = ENODATA;
        if (got <= 0)
            return false;
        room += got;
        from += got;
        count -= got;
    }
    return true;
}

static int
file_get(void *state, struct mr_store_call *call, struct mr_err *err)
{
    const struct file *file = state;
    MR_CLEANUP(closep) int fd = -1;
    struct stat stat;
    struct mr_meta meta = { 0 };
    if (open_object(file, call->key, &fd, &stat, err) != 0)
        return err->code;
    int64_t count = stat.st_size > call->from ? stat.st_size - call->from : 0;
    if (call->count > 0 && call->count < count)
        count = call->count;

    bool read = true;
    if (call->ret_body != NULL) {
        mr_buf_reset(call->ret_body);
        read = read_bytes(fd, call->from, count, call->ret_body);
        if (call->ret_body->failed)
            return mr_fail(err, MR_E(TOO_LARGE), MR_REJECT, "%s/%.200s has more than %zu bytes",
                           file->url, call->key, call->ret_body->max);
    } else {
        read = copy_bytes(fd, call->from, count, call->fd);
    }
    if (!read || (call->ret_meta != NULL && read_meta(fd, &meta) != 0))
        return mr_store_errno(err, "%s/%.200s", file->url, call->key);
    if (call->ret_meta != NULL)
        *call->ret_meta = meta;
    return 0;
}

static int
file_head(void *state, struct mr_store_call *call, struct mr_err *err)
{
    const struct file *file = state;
    MR_CLEANUP(closep) int fd = -1;
    struct stat stat;
    struct mr_meta meta = { 0 };
    if (open_object(file, call->key, &fd, &stat, err) != 0)
        return err->code;
    if (call->ret_meta != NULL && read_meta(fd, &meta) != 0)
        return mr_store_errno(err, "%s/%.200s", file->url, call->key);
    if (call->ret_meta != NULL)
        *call->ret_meta = meta;
    if (call->ret_object != NULL) {
        *call->ret_object =
            (struct mr_object){ .bytes = stat.st_size, .modified_ms = modified_ms(&stat) };
        memcpy(call->ret_object->key, call->key, strlen(call->key) + 1);
    }
    return 0;
}

static int
file_remove(void *state, struct mr_store_call *call, struct mr_err *err)
{
    const struct file *file = state;
    if (unlinkat(file->dir_fd, call->key, 0) == 0 || errno == ENOENT || errno == ENOTDIR ||
        errno == EISDIR)
        return 0;
    return mr_store_errno(err, "%s/%.200s", file->url, call->key);
}

static int
file_list(void *state, struct mr_store_call *call, struct mr_err *err)
{
    const struct file *file = state;
    if (mr_store_file_walk(file->dir_fd, call) != 0)
        return mr_store_errno(err, "%s/%.200s", file->url, call->prefix);
    return 0;
}

/* ---- open and close ---- */

static void
file_close(void *state)
{
    struct file *file = state;
    if (file == NULL)
        return;
    closep(&file->dir_fd);
    closep(&file->own_fd);
    free(file->url);
    free(file);
}

static void
file_closep(struct file **file)
{
    file_close(*file);
}

static bool
make_path(const char *path)
{
    MR_CLEANUP(mr_freep) char *part = mr_strdup(path);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return false;
        *slash = '/';
    }
    return mkdir(part, 0755) == 0 || errno == EEXIST;
}

/* A crash leaves temporary files; nobody writes one for a day. */
static void
sweep(int own_fd)
{
    int fd = openat(own_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        closep(&fd);
        return;
    }
    struct stat stat;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (fstatat(own_fd, entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(stat.st_mode) && modified_ms(&stat) < mr_wall_ms() - LEFTOVER_AGE_MS)
            (void)unlinkat(own_fd, entry->d_name, 0);
    (void)closedir(folder);
}

static int
check_xattrs(const struct file *file, struct mr_err *err)
{
    /* On the folder itself, so that a start leaves nothing behind. */
    if (fsetxattr(file->own_fd, XATTR "probe", "1", 1, 0) == 0)
        return 0;
    if (errno != ENOTSUP)
        return mr_store_errno(err, "%s", file->url);
    return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL,
                   "%s: this file system keeps no user xattrs, which hold the metadata of objects; "
                   "use one that does (ext4, xfs, btrfs, tmpfs of Linux 6.6) or an S3 store",
                   file->url);
}

int
mr_store_file_open(const char *path, void **ret_state, char **ret_url, struct mr_err *err)
{
    MR_CLEANUP(file_closep) struct file *file = mr_alloc(sizeof(*file));
    char resolved[PATH_MAX];
    file->dir_fd = file->own_fd = -1;
    if (path[0] == '\0')
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "store 'file:' names no folder");
    file->url = mr_printf("file:%s", path);
    if (!make_path(path) || realpath(path, resolved) == NULL)
        return mr_fail(err, MR_E(IO), MR_FATAL, "%s: %s", file->url, strerror(errno));
    free(file->url);
    file->url = mr_printf("file:%s", resolved);
    file->dir_fd = open(resolved, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file->dir_fd >= 0 && (mkdirat(file->dir_fd, MR_STORE_OWN, 0755) == 0 || errno == EEXIST))
        file->own_fd = openat(file->dir_fd, MR_STORE_OWN, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file->own_fd < 0)
        return mr_fail(err, MR_E(IO), MR_FATAL, "%s: %s", file->url, strerror(errno));
    if (check_xattrs(file, err) != 0)
        return err->code;
    sweep(file->own_fd);
    *ret_url = mr_strdup(file->url);
    *ret_state = MR_TAKE(file);
    return 0;
}

const struct mr_store_driver mr_store_file = { .put = file_put,
                                               .get = file_get,
                                               .head = file_head,
                                               .list = file_list,
                                               .remove = file_remove,
                                               .close = file_close };
