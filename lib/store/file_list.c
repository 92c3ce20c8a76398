/*
 * file_list: the keys below a folder in byte order.
 *
 * The walk goes down with one sorted folder for each level in memory, never the tree. A folder's
 * name sorts with its '/' ("a-b" comes before "a/c"). Folders that cannot hold a key with the
 * prefix, or hold only keys up to `after`, are not opened.
 */
#include "store/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_FIRST = 64 };

struct names {
    char **items; /* those of folders end with '/' */
    size_t count, capacity;
};

struct walk {
    int dir_fd;
    struct mr_store_call *call;
    char key[MR_STORE_KEY_MAX + 1]; /* of the folder or file at hand */
    size_t length;
};

static void
names_fini(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
}

static void
names_add(struct names *names, char *name)
{
    if (names->count == names->capacity) {
        names->capacity = names->capacity == 0 ? NAMES_FIRST : 2 * names->capacity;
        names->items = mr_realloc(names->items, names->capacity * sizeof(*names->items));
    }
    names->items[names->count++] = name;
}

static int
by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One of them begins with the other, so a folder of one can lead to the other. */
static bool
leads(const char *a, const char *b)
{
    size_t length = strlen(a) < strlen(b) ? strlen(a) : strlen(b);
    return memcmp(a, b, length) == 0;
}

/* The name stands at the end of walk->key. Folders are asked whether some key below may be wanted.
 */
static bool
wanted(const struct walk *walk, bool folder)
{
    const struct mr_store_call *call = walk->call;
    if (!mr_store_key_ok(mr_slice(walk->key, walk->length - (folder ? 1 : 0))) ||
        mr_store_key_own(walk->key))
        return false;
    if (folder)
        return leads(walk->key, call->prefix) &&
               (strcmp(walk->key, call->after) > 0 || leads(walk->key, call->after));
    return strncmp(walk->key, call->prefix, strlen(call->prefix)) == 0 &&
           strcmp(walk->key, call->after) > 0;
}

/* Puts name behind the folder's key; false when that is too long to be a key. */
static bool
enter(struct walk *walk, size_t folder_length, const char *name)
{
    size_t length = strlen(name);
    if (folder_length + length > MR_STORE_KEY_MAX)
        return false;
    memcpy(walk->key + folder_length, name, length + 1);
    walk->length = folder_length + length;
    return true;
}

static void
leave(struct walk *walk, size_t folder_length)
{
    walk->key[folder_length] = '\0';
    walk->length = folder_length;
}

static bool
is_folder(const struct dirent *entry, int folder_fd)
{
    struct stat stat;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return fstatat(folder_fd, entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(stat.st_mode);
}

/* The wanted names of the folder at hand, sorted. A folder that is gone has none. */
static int
read_folder(struct walk *walk, struct names *ret)
{
    size_t length = walk->length;
    int fd = openat(walk->dir_fd, length > 0 ? walk->key : ".",
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    DIR *folder = fdopendir(fd);
    MR_ASSERT(folder != NULL);
    errno = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL; errno = 0) {
        bool below = is_folder(entry, fd);
        char *name = mr_printf("%s%s", entry->d_name, below ? "/" : "");
        if (enter(walk, length, name) && wanted(walk, below))
            names_add(ret, MR_TAKE(name));
        leave(walk, length);
        free(name);
    }
    int failed = errno;
    (void)closedir(folder);
    errno = failed;
    if (ret->count > 0)
        qsort(ret->items, ret->count, sizeof(*ret->items), by_bytes);
    return failed == 0 ? 0 : -1;
}

static void
take_file(struct walk *walk)
{
    struct stat stat;
    /* Removed since, or no object: a link, a socket. */
    if (fstatat(walk->dir_fd, walk->key, &stat, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(stat.st_mode))
        return;
    struct mr_object *item = mr_store_list_item(walk->call);
    memcpy(item->key, walk->key, walk->length + 1);
    item->bytes = stat.st_size;
    item->modified_ms = stat.st_mtim.tv_sec * 1000LL + stat.st_mtim.tv_nsec / 1000000;
}

/* Depth is bounded by the length of a key: a level takes at least two bytes of it. */
static int
descend(struct walk *walk)
{
    size_t length = walk->length;
    MR_CLEANUP(names_fini) struct names names = { 0 };
    if (read_folder(walk, &names) != 0)
        return -1;
    for (size_t i = 0; i < names.count && walk->call->items_count < walk->call->count_max; i++) {
        bool entered = enter(walk, length, names.items[i]);
        MR_ASSERT(entered);
        if (walk->key[walk->length - 1] != '/')
            take_file(walk);
        else if (descend(walk) != 0)
            return -1;
        leave(walk, length);
    }
    return 0;
}

int
mr_store_file_walk(int dir_fd, struct mr_store_call *call)
{
    struct walk walk = { .dir_fd = dir_fd, .call = call };
    const char *slash = strrchr(call->prefix, '/');
    if (slash != NULL) {
        walk.length = (size_t)(slash - call->prefix) + 1;
        memcpy(walk.key, call->prefix, walk.length);
        if (mr_store_key_own(walk.key))
            return 0;
    }
    return descend(&walk);
}
