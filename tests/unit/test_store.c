/*
 * The file driver: the promises of every store, and what happens when the disk fails. The linker
 * puts the functions __wrap_x before the C library's, for the driver and this test alike.
 */
#include "store/store.h"

#include "clock/clock.h"
#include "store_promises.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

/* ---- the disk ---- */

static struct {
    int fsetxattr, write, fsync, linkat; /* errno to fail with, 0: works */
    size_t opened;                       /* by openat */
    char order[8];                       /* s: fsync, l: linkat */
} disk;

int __real_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags);
ssize_t __real_write(int fd, const void *bytes, size_t count);
int __real_fsync(int fd);
int __real_linkat(int fd, const char *from, int to_fd, const char *to, int flags);
int __real_openat(int fd, const char *path, int flags, mode_t mode);
int __wrap_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags);
ssize_t __wrap_write(int fd, const void *bytes, size_t count);
int __wrap_fsync(int fd);
int __wrap_linkat(int fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_openat(int fd, const char *path, int flags, mode_t mode);

static int
failing(int number)
{
    errno = number;
    return number != 0 ? -1 : 0;
}

static void
note(char what)
{
    size_t length = strlen(disk.order);
    if (length + 1 < sizeof(disk.order))
        disk.order[length] = what;
}

int
__wrap_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
    return failing(disk.fsetxattr) != 0 ? -1 : __real_fsetxattr(fd, name, value, size, flags);
}

ssize_t
__wrap_write(int fd, const void *bytes, size_t count)
{
    return failing(disk.write) != 0 ? -1 : __real_write(fd, bytes, count);
}

int
__wrap_fsync(int fd)
{
    note('s');
    return failing(disk.fsync) != 0 ? -1 : __real_fsync(fd);
}

int
__wrap_linkat(int fd, const char *from, int to_fd, const char *to, int flags)
{
    note('l');
    return failing(disk.linkat) != 0 ? -1 : __real_linkat(fd, from, to_fd, to, flags);
}

int
__wrap_openat(int fd, const char *path, int flags, mode_t mode)
{
    disk.opened++;
    return __real_openat(fd, path, flags, mode);
}

/* ---- the place of a test ---- */

static char place[64];
static int places;
static char root[] = "/tmp/millrace-store-XXXXXX";

static void
new_place(void)
{
    memset(&disk, 0, sizeof(disk));
    (void)snprintf(place, sizeof(place), "%s/%d/objects", root, places++);
}

static struct mr_store *
open_here(void)
{
    struct mr_err err = { 0 };
    struct mr_store *store = NULL;
    MR_CLEANUP(mr_freep) char *url = mr_printf("file:%s", place);
    STORE_GOOD(mr_store_open(url, NULL, &store, &err), err);
    return store;
}

static size_t
key_max(void)
{
    return MR_STORE_KEY_MAX;
}

static struct mr_store *store;
static struct mr_err err;

static int
set_up(void **state)
{
    (void)state;
    new_place();
    store = open_here();
    err = (struct mr_err){ 0 };
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    memset(&disk, 0, sizeof(disk));
    mr_store_closep(&store);
    return 0;
}

static size_t
count_own(void)
{
    MR_CLEANUP(mr_freep) char *command = mr_printf("ls %s/.millrace | wc -l", place);
    size_t count = 99;
    FILE *pipe = popen(command, "r");
    assert_int_equal(fscanf(pipe, "%zu", &count), 1);
    (void)pclose(pipe);
    return count;
}

static void
assert_code(int code, int wanted)
{
    assert_string_equal(mr_code_name(code), mr_code_name(wanted));
}

/* ---- tests ---- */

static void
the_folder_is_made_and_the_url_is_absolute(void **state)
{
    (void)state;
    MR_CLEANUP(mr_store_closep) struct mr_store *relative = NULL;
    MR_CLEANUP(mr_freep) char *wanted = mr_printf("file:%s/deep/er", place);
    assert_int_equal(chdir(place), 0);
    STORE_GOOD(mr_store_open("file:deep/er/", NULL, &relative, &err), err);
    assert_string_equal(mr_store_url(relative), wanted);
    assert_int_equal(chdir("/"), 0);
}

static void
a_url_of_another_form_is_refused(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "",      "file:",  "/tmp/x",           "http://x",        "s3:x",
        "s3://", "s3://B", "s3://bucket/a//b", "s3://bucket/../x"
    };
    for (size_t i = 0; i < MR_COUNT(urls); i++) {
        struct mr_err refused = { 0 };
        struct mr_store *none = NULL;
        assert_code(mr_store_open(urls[i], NULL, &none, &refused), MR_E(INVALID));
        assert_int_equal(refused.remedy, MR_FATAL);
        assert_null(none);
    }
}

static void
a_file_in_place_of_the_folder_is_refused(void **state)
{
    (void)state;
    struct mr_store *none = NULL;
    assert_code(mr_store_open("file:/dev/null", NULL, &none, &err), MR_E(IO));
    assert_int_equal(err.remedy, MR_FATAL);
    assert_non_null(strstr(err.text, "/dev/null"));
}

static void
a_file_system_without_user_xattrs_is_refused(void **state)
{
    (void)state;
    struct mr_store *none = NULL;
    MR_CLEANUP(mr_freep) char *url = mr_printf("file:%s", place);
    disk.fsetxattr = ENOTSUP;
    assert_code(mr_store_open(url, NULL, &none, &err), MR_E(UNSUPPORTED));
    assert_int_equal(err.remedy, MR_FATAL);
    assert_non_null(strstr(err.text, "user xattrs"));
}

static void
a_full_disk_is_to_be_tried_later(void **state)
{
    (void)state;
    int *calls[] = { &disk.write, &disk.fsync, &disk.fsetxattr };
    struct mr_meta meta = { 0 };
    mr_meta_set(&meta, "a", "b");
    for (size_t i = 0; i < MR_COUNT(calls); i++) {
        struct mr_err full = { 0 };
        *calls[i] = ENOSPC;
        int64_t start_ms = mr_now_ms();
        assert_code(mr_store_put_new(store, "k", MR_SLICE("x"), &meta, &full), MR_E(FULL));
        assert_true(mr_now_ms() - start_ms < 5000); /* not tried again inside */
        assert_int_equal(full.remedy, MR_RETRY);
        assert_non_null(strstr(full.text, "the disk is full"));
        *calls[i] = 0;
        assert_code(mr_store_head(store, "k", NULL, NULL, NULL), MR_E(NOT_FOUND));
        assert_int_equal(count_own(), 0);
    }
    STORE_GOOD(mr_store_put_new(store, "k", MR_SLICE("x"), &meta, &err), err);
}

static void
an_object_is_on_disk_before_it_has_its_name(void **state)
{
    (void)state;
    STORE_GOOD(mr_store_put_new(store, "k", MR_SLICE("x"), NULL, &err), err);
    assert_string_equal(disk.order, "sls"); /* and its name is on disk before we return */
}

static void
a_failed_create_leaves_nothing(void **state)
{
    (void)state;
    disk.linkat = EIO;
    assert_code(mr_store_put_new(store, "k", MR_SLICE("x"), NULL, &err), MR_E(IO));
    assert_int_equal(err.remedy, MR_RETRY);
    assert_int_equal(count_own(), 0);
    assert_code(mr_store_head(store, "k", NULL, NULL, NULL), MR_E(NOT_FOUND));
}

static void
an_object_where_a_folder_is_needed_is_named(void **state)
{
    (void)state;
    STORE_GOOD(mr_store_put_new(store, "a", MR_SLICE("x"), NULL, &err), err);
    assert_code(mr_store_put_new(store, "a/b", MR_SLICE("x"), NULL, NULL), MR_E(INVALID));
    STORE_GOOD(mr_store_put_new(store, "d/k", MR_SLICE("x"), NULL, &err), err);
    assert_code(mr_store_put(store, "d", MR_SLICE("x"), NULL, &err), MR_E(INVALID));
    assert_non_null(strstr(err.text, "folder"));
}

static void
a_folder_of_objects_is_no_object(void **state)
{
    (void)state;
    MR_CLEANUP(mr_buf_fini) struct mr_buf body;
    mr_buf_init(&body, 100);
    STORE_GOOD(mr_store_put(store, "d/k", MR_SLICE("x"), NULL, &err), err);
    assert_code(mr_store_get(store, "d", &body, NULL, NULL), MR_E(NOT_FOUND));
    assert_code(mr_store_head(store, "d", NULL, NULL, NULL), MR_E(NOT_FOUND));
    assert_code(mr_store_get(store, "d/k/below", &body, NULL, NULL), MR_E(NOT_FOUND));
    STORE_GOOD(mr_store_remove(store, "d", &err), err);
    STORE_GOOD(mr_store_head(store, "d/k", NULL, NULL, &err), err);
}

static void
a_segment_too_long_for_a_file_name_is_refused(void **state)
{
    (void)state;
    char key[300];
    memset(key, 'k', sizeof(key));
    key[255] = '\0';
    STORE_GOOD(mr_store_put_new(store, key, MR_SLICE("x"), NULL, &err), err);
    key[255] = 'k';
    key[256] = '\0';
    assert_code(mr_store_put_new(store, key, MR_SLICE("x"), NULL, &err), MR_E(INVALID));
    assert_int_equal(err.remedy, MR_REJECT);
}

static void
leftovers_of_a_crash_are_swept_a_day_later(void **state)
{
    (void)state;
    MR_CLEANUP(mr_freep) char *old = mr_printf("%s/.millrace/tmp-old", place);
    MR_CLEANUP(mr_freep) char *young = mr_printf("%s/.millrace/tmp-young", place);
    (void)close(creat(old, 0644));
    (void)close(creat(young, 0644));
    time_t then = mr_wall_ms() / 1000 - 25 * 3600;
    struct timeval times[2] = { { .tv_sec = then }, { .tv_sec = then } };
    assert_int_equal(utimes(old, times), 0);
    mr_store_close(open_here());
    assert_int_equal(access(old, F_OK), -1);
    assert_int_equal(access(young, F_OK), 0);
}

static void
files_that_are_no_objects_are_not_listed(void **state)
{
    (void)state;
    MR_CLEANUP(mr_freep) char *link = mr_printf("%s/link", place);
    MR_CLEANUP(mr_freep) char *control = mr_printf("%s/a\nb", place);
    MR_CLEANUP(mr_freep) char *own = mr_printf("%s/.millrace/probe-x", place);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    (void)close(creat(control, 0644));
    (void)close(creat(own, 0644));
    struct mr_object *items = NULL;
    size_t count = 99;
    STORE_GOOD(mr_store_list(store, "", NULL, 10, &items, &count, &err), err);
    assert_int_equal(count, 0);
    free(items);
    items = NULL;
    STORE_GOOD(mr_store_list(store, ".millrace/", NULL, 10, &items, &count, &err), err);
    assert_int_equal(count, 0);
    free(items);
    assert_code(mr_store_head(store, "link", NULL, NULL, NULL), MR_E(NOT_FOUND));
}

static void
a_list_opens_only_the_folders_it_needs(void **state)
{
    (void)state;
    struct mr_object *items = NULL;
    size_t count = 0;
    for (int i = 0; i < 20; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "d%02d/k", i);
        STORE_GOOD(mr_store_put_new(store, key, MR_SLICE("x"), NULL, &err), err);
    }
    disk.opened = 0;
    STORE_GOOD(mr_store_list(store, "", "d04/z", 2, &items, &count, &err), err);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].key, "d05/k");
    free(items);
    assert_in_range(disk.opened, 3, 4); /* the top, d04, d05, d06 */
    disk.opened = 0;
    STORE_GOOD(mr_store_list(store, "d07/", NULL, 9, &items, &count, &err), err);
    assert_int_equal(count, 1);
    free(items);
    assert_int_equal(disk.opened, 1);
}

static void
a_missing_local_file_is_not_a_missing_object(void **state)
{
    (void)state;
    assert_code(mr_store_put_new_file(store, "k", "/no/such", NULL, &err), MR_E(IO));
    assert_non_null(strstr(err.text, "/no/such"));
}

static void
a_file_above_5_gib_is_refused(void **state)
{
    (void)state;
    MR_CLEANUP(mr_freep) char *path = mr_printf("%s.sparse", place);
    (void)close(creat(path, 0644));
    assert_int_equal(truncate(path, (5LL << 30) + 1), 0);
    assert_code(mr_store_put_new_file(store, "k", path, NULL, &err), MR_E(TOO_LARGE));
    assert_int_equal(err.remedy, MR_REJECT);
    (void)unlink(path);
}

static void
metadata_of_others_is_left_out(void **state)
{
    (void)state;
    struct mr_meta meta = { 0 };
    MR_CLEANUP(mr_freep) char *path = mr_printf("%s/k", place);
    mr_meta_set(&meta, "ours", "1");
    STORE_GOOD(mr_store_put_new(store, "k", MR_SLICE("x"), &meta, &err), err);
    assert_int_equal(setxattr(path, "user.other", "1", 1, 0), 0);
    assert_int_equal(setxattr(path, "user.millrace.BAD NAME", "1", 1, 0), 0);
    assert_int_equal(setxattr(path, "user.millrace.bad", "a\nb", 3, 0), 0);
    char big[200];
    memset(big, 'x', sizeof(big));
    assert_int_equal(setxattr(path, "user.millrace.big", big, sizeof(big), 0), 0);
    STORE_GOOD(mr_store_head(store, "k", NULL, &meta, &err), err);
    assert_int_equal(meta.count, 1);
    assert_string_equal(mr_meta_get(&meta, "ours"), "1");
}

static void
setting_a_name_twice_keeps_the_last_value(void **state)
{
    (void)state;
    struct mr_meta meta = { 0 };
    mr_meta_set(&meta, "a", "%d", 1);
    mr_meta_set(&meta, "a", "%d", 2);
    assert_int_equal(meta.count, 1);
    assert_string_equal(mr_meta_get(&meta, "a"), "2");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_folder_is_made_and_the_url_is_absolute),
        TEST(a_url_of_another_form_is_refused),
        TEST(a_file_in_place_of_the_folder_is_refused),
        TEST(a_file_system_without_user_xattrs_is_refused),
        TEST(a_full_disk_is_to_be_tried_later),
        TEST(an_object_is_on_disk_before_it_has_its_name),
        TEST(a_failed_create_leaves_nothing),
        TEST(an_object_where_a_folder_is_needed_is_named),
        TEST(a_folder_of_objects_is_no_object),
        TEST(a_segment_too_long_for_a_file_name_is_refused),
        TEST(leftovers_of_a_crash_are_swept_a_day_later),
        TEST(files_that_are_no_objects_are_not_listed),
        TEST(a_list_opens_only_the_folders_it_needs),
        TEST(a_missing_local_file_is_not_a_missing_object),
        TEST(a_file_above_5_gib_is_refused),
        TEST(metadata_of_others_is_left_out),
        TEST(setting_a_name_twice_keeps_the_last_value),
    };
    if (mkdtemp(root) == NULL) {
        perror(root);
        return 1;
    }
    store_new_place = new_place;
    store_open_here = open_here;
    store_key_max = key_max;
    int failed = store_promises_run("promises of a store, files");
    failed += cmocka_run_group_tests_name("file driver", tests, NULL, NULL);
    MR_CLEANUP(mr_freep) char *command = mr_printf("rm -rf %s", root);
    return system(command) == 0 && failed == 0 ? 0 : 1;
}
