#include "store_promises.h"

#include "clock/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct mr_store *(*store_open_here)(void);
void (*store_new_place)(void);
size_t (*store_key_max)(void);

enum { BIG_BYTES = 5 * 1024 * 1024 + 17, BODY_MAX = 16 * 1024 * 1024 };

static struct mr_store *store; /* of the running test */
static struct mr_buf body;
static struct mr_err err;

static int
set_up(void **state)
{
    (void)state;
    store_new_place();
    store = store_open_here();
    mr_buf_init(&body, BODY_MAX);
    err = (struct mr_err){ 0 };
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    mr_store_closep(&store);
    mr_buf_fini(&body);
    return 0;
}

static void
put_text(const char *key, const char *text)
{
    STORE_GOOD(mr_store_put(store, key, mr_slice_text(text), NULL, &err), err);
}

static void
assert_body(const char *key, const char *text)
{
    STORE_GOOD(mr_store_get(store, key, &body, NULL, &err), err);
    assert_true(mr_slice_is_text(mr_buf_slice(&body), text));
}

static void
assert_code(int code, int wanted)
{
    assert_string_equal(mr_code_name(code), mr_code_name(wanted));
}

/* ---- objects ---- */

static void
an_object_comes_back_with_its_bytes_and_metadata(void **state)
{
    (void)state;
    struct mr_meta meta = { 0 }, got = { 0 };
    mr_meta_set(&meta, "from", "%d", 17);
    mr_meta_set(&meta, "topic-id", "a b=c; \"d\"");
    struct mr_slice bytes = MR_SLICE("a\0b\r\n\xff");
    STORE_GOOD(mr_store_put(store, "one/two", bytes, &meta, &err), err);
    STORE_GOOD(mr_store_get(store, "one/two", &body, &got, &err), err);
    assert_true(mr_slice_is(mr_buf_slice(&body), bytes));
    assert_int_equal(got.count, 2);
    assert_string_equal(mr_meta_get(&got, "from"), "17");
    assert_string_equal(mr_meta_get(&got, "topic-id"), "a b=c; \"d\"");
    assert_null(mr_meta_get(&got, "absent"));
}

static void
metadata_at_its_limits_comes_back(void **state)
{
    (void)state;
    struct mr_meta meta = { 0 }, got = { 0 };
    char name[MR_STORE_NAME_MAX + 1], value[MR_STORE_VALUE_MAX + 1];
    for (int i = 0; i < MR_STORE_META_MAX; i++) {
        memset(name, 'a' + i, MR_STORE_NAME_MAX);
        memset(value, 'A' + i, MR_STORE_VALUE_MAX);
        name[MR_STORE_NAME_MAX] = value[MR_STORE_VALUE_MAX] = '\0';
        mr_meta_set(&meta, name, "%s", value);
    }
    STORE_GOOD(mr_store_put_new(store, "k", MR_SLICE("x"), &meta, &err), err);
    STORE_GOOD(mr_store_head(store, "k", NULL, &got, &err), err);
    assert_int_equal(got.count, MR_STORE_META_MAX);
    assert_string_equal(mr_meta_get(&got, name), value);
}

static void
an_empty_object_is_an_object(void **state)
{
    (void)state;
    struct mr_object object;
    STORE_GOOD(mr_store_put_new(store, "empty", mr_slice(NULL, 0), NULL, &err), err);
    assert_body("empty", "");
    STORE_GOOD(mr_store_head(store, "empty", &object, NULL, &err), err);
    assert_int_equal(object.bytes, 0);
}

static void
put_replaces_what_was_there(void **state)
{
    (void)state;
    struct mr_meta meta = { 0 }, got = { 0 };
    mr_meta_set(&meta, "old", "1");
    STORE_GOOD(mr_store_put(store, "k", MR_SLICE("the first one"), &meta, &err), err);
    put_text("k", "second");
    STORE_GOOD(mr_store_get(store, "k", &body, &got, &err), err);
    assert_true(mr_slice_is_text(mr_buf_slice(&body), "second"));
    assert_int_equal(got.count, 0);
}

static void
put_new_refuses_a_name_that_is_taken(void **state)
{
    (void)state;
    STORE_GOOD(mr_store_put_new(store, "d/k", MR_SLICE("first"), NULL, &err), err);
    assert_code(mr_store_put_new(store, "d/k", MR_SLICE("later"), NULL, &err), MR_E(EXISTS));
    assert_int_equal(err.remedy, MR_REJECT);
    assert_non_null(strstr(err.text, "d/k"));
    err = (struct mr_err){ 0 };
    assert_body("d/k", "first");
}

static void
a_big_file_goes_in_and_comes_out_whole(void **state)
{
    (void)state;
    char in[] = "/tmp/millrace-in-XXXXXX", out[] = "/tmp/millrace-out-XXXXXX";
    int fd = mkstemp(in);
    assert_true(fd >= 0);
    MR_CLEANUP(mr_freep) char *bytes = mr_alloc(BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    assert_int_equal(write(fd, bytes, BIG_BYTES), BIG_BYTES);
    (void)close(fd);
    (void)close(mkstemp(out));

    struct mr_meta meta = { 0 }, got = { 0 };
    mr_meta_set(&meta, "count", "5");
    STORE_GOOD(mr_store_put_new_file(store, "big", in, &meta, &err), err);
    STORE_GOOD(mr_store_get(store, "big", &body, &got, &err), err);
    assert_true(mr_slice_is(mr_buf_slice(&body), mr_slice(bytes, BIG_BYTES)));
    assert_string_equal(mr_meta_get(&got, "count"), "5");
    STORE_GOOD(mr_store_get_file(store, "big", out, &err), err);
    MR_CLEANUP(mr_freep) char *back = mr_alloc(BIG_BYTES);
    FILE *file = fopen(out, "rb");
    assert_int_equal(fread(back, 1, BIG_BYTES, file), BIG_BYTES);
    assert_int_equal(fgetc(file), EOF);
    (void)fclose(file);
    assert_memory_equal(back, bytes, BIG_BYTES);
    assert_code(mr_store_put_new_file(store, "big", in, &meta, &err), MR_E(EXISTS));
    (void)unlink(in);
    (void)unlink(out);
}

static void
what_does_not_exist_is_not_found(void **state)
{
    (void)state;
    char folder[] = "/tmp/millrace-out-XXXXXX";
    assert_non_null(mkdtemp(folder));
    MR_CLEANUP(mr_freep) char *path = mr_printf("%s/out", folder);
    assert_code(mr_store_get(store, "no/such", &body, NULL, NULL), MR_E(NOT_FOUND));
    assert_code(mr_store_get_range(store, "no/such", 0, 1, &body, NULL), MR_E(NOT_FOUND));
    assert_code(mr_store_head(store, "no/such", NULL, NULL, NULL), MR_E(NOT_FOUND));
    assert_code(mr_store_get_file(store, "no/such", path, &err), MR_E(NOT_FOUND));
    assert_non_null(strstr(err.text, "no/such"));
    assert_int_equal(rmdir(folder), 0); /* neither the file nor a part of it is left */
}

static void
a_range_ends_with_the_object(void **state)
{
    (void)state;
    put_text("k", "0123456789");
    STORE_GOOD(mr_store_get_range(store, "k", 2, 3, &body, &err), err);
    assert_true(mr_slice_is_text(mr_buf_slice(&body), "234"));
    STORE_GOOD(mr_store_get_range(store, "k", 8, 10, &body, &err), err);
    assert_true(mr_slice_is_text(mr_buf_slice(&body), "89"));
    STORE_GOOD(mr_store_get_range(store, "k", 10, 1, &body, &err), err);
    assert_int_equal(body.size, 0);
}

static void
a_body_may_fill_the_buffer_but_not_pass_it(void **state)
{
    (void)state;
    MR_CLEANUP(mr_buf_fini) struct mr_buf small;
    mr_buf_init(&small, 10);
    put_text("fits", "0123456789");
    put_text("not", "0123456789a");
    STORE_GOOD(mr_store_get(store, "fits", &small, NULL, &err), err);
    assert_int_equal(small.size, 10);
    assert_code(mr_store_get(store, "not", &small, NULL, &err), MR_E(TOO_LARGE));
    err = (struct mr_err){ 0 };
    STORE_GOOD(mr_store_get(store, "fits", &small, NULL, &err), err);
    assert_true(mr_slice_is_text(mr_buf_slice(&small), "0123456789"));
}

static void
head_tells_name_size_and_time(void **state)
{
    (void)state;
    struct mr_object object;
    put_text("a/b", "12345");
    STORE_GOOD(mr_store_head(store, "a/b", &object, NULL, &err), err);
    assert_string_equal(object.key, "a/b");
    assert_int_equal(object.bytes, 5);
    assert_in_range(object.modified_ms, mr_wall_ms() - 60000, mr_wall_ms() + 60000);
}

static void
remove_is_content_with_what_is_gone(void **state)
{
    (void)state;
    STORE_GOOD(mr_store_put_new(store, "d/k", MR_SLICE("x"), NULL, &err), err);
    STORE_GOOD(mr_store_remove(store, "d/k", &err), err);
    STORE_GOOD(mr_store_remove(store, "d/k", &err), err);
    STORE_GOOD(mr_store_remove(store, "never/was", &err), err);
    assert_code(mr_store_head(store, "d/k", NULL, NULL, NULL), MR_E(NOT_FOUND));
    STORE_GOOD(mr_store_put_new(store, "d/k", MR_SLICE("y"), NULL, &err), err);
}

/* ---- listing ---- */

static void
assert_list(const char *prefix, const char *after, size_t count_max, const char *const *keys,
            size_t count)
{
    struct mr_object *items = NULL;
    size_t got = 0;
    STORE_GOOD(mr_store_list(store, prefix, after, count_max, &items, &got, &err), err);
    for (size_t i = 0; i < count && i < got; i++)
        assert_string_equal(items[i].key, keys[i]);
    assert_int_equal(got, count);
    free(items);
}

static void
a_list_is_in_byte_order_and_goes_on_behind_any_key(void **state)
{
    (void)state;
    /* '-' < '/' < '0': a folder sorts with its slash. */
    static const char *const sorted[] = { "A",  "a-b", "a/b/c", "a/b0", "a/c",
                                          "a0", "b/1", "b/10",  "b/2",  "b~/\xc3\xa9" };
    static const size_t order[] = { 7, 3, 0, 9, 4, 1, 8, 2, 6, 5 };
    for (size_t i = 0; i < MR_COUNT(order); i++)
        put_text(sorted[order[i]], "x");
    for (size_t page = 1; page <= MR_COUNT(sorted) + 1; page++)
        assert_list("", NULL, page, sorted, page < MR_COUNT(sorted) ? page : MR_COUNT(sorted));
    for (size_t i = 0; i < MR_COUNT(sorted); i++)
        assert_list("", sorted[i], 100, sorted + i + 1, MR_COUNT(sorted) - i - 1);
    assert_list("", "a/", 100, sorted + 2, MR_COUNT(sorted) - 2);
    assert_list("", "a/b/zz", 100, sorted + 3, MR_COUNT(sorted) - 3);
    assert_list("", "zz", 100, NULL, 0);
    assert_list("a/", NULL, 100, sorted + 2, 3);
    assert_list("a/b", NULL, 100, sorted + 2, 2);
    assert_list("a/b/", "a/b/c", 100, NULL, 0);
    assert_list("b/1", "b/1", 100, sorted + 7, 1);
    assert_list("b", "a/c", 2, sorted + 6, 2);
    assert_list("b/", "A", 1, sorted + 6, 1);
    assert_list("none/", NULL, 100, NULL, 0);
    assert_list("A/", NULL, 100, NULL, 0);
}

static void
a_list_tells_sizes_and_times(void **state)
{
    (void)state;
    struct mr_object *items = NULL;
    size_t count = 0;
    put_text("k", "12345");
    STORE_GOOD(mr_store_list(store, "", NULL, 10, &items, &count, &err), err);
    assert_int_equal(count, 1);
    assert_int_equal(items[0].bytes, 5);
    assert_true(items[0].modified_ms > 0);
    free(items);
}

static void
a_list_longer_than_a_page_is_complete(void **state)
{
    (void)state;
    enum { OBJECTS = 1005 };
    struct mr_object *items = NULL;
    size_t count = 0;
    char key[16];
    for (int i = 0; i < OBJECTS; i++) {
        (void)snprintf(key, sizeof(key), "n/%05d", i);
        put_text(key, "");
    }
    STORE_GOOD(mr_store_list(store, "n/", NULL, 2 * OBJECTS, &items, &count, &err), err);
    assert_int_equal(count, OBJECTS);
    for (int i = 0; i < OBJECTS; i++) {
        (void)snprintf(key, sizeof(key), "n/%05d", i);
        assert_string_equal(items[i].key, key);
    }
    free(items);
}

/* ---- keys ---- */

static void
odd_characters_in_keys_stay_as_they_are(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "day=2026-01-31/k",
        "a+b",
        "a b",
        "a%b",
        "a%2Fb",
        "\xc3\xbc/\xe2\x82\xac",
        "what?x=1",
        "a&b",
        "\"q\"",
        "it's",
        "(a)",
        "a:b@c,d;e",
        "#frag",
        "<x>",
        "~tilde",
        "..a",
        "a..",
        ".hidden",
        "back\\slash",
        "$!*|",
        "[x]{y}",
        "`^",
        "&amp;",
        "\xf0\x9f\x98\x80",
    };
    for (size_t i = 0; i < MR_COUNT(keys); i++) {
        STORE_GOOD(mr_store_put_new(store, keys[i], mr_slice_text(keys[i]), NULL, &err), err);
        assert_body(keys[i], keys[i]);
        assert_code(mr_store_put_new(store, keys[i], MR_SLICE("x"), NULL, NULL), MR_E(EXISTS));
        assert_list(keys[i], NULL, 1, &keys[i], 1);
    }
    assert_list("a+b", "a b", 1, &keys[1], 1);
    for (size_t i = 0; i < MR_COUNT(keys); i++)
        STORE_GOOD(mr_store_remove(store, keys[i], &err), err);
    assert_list("", NULL, 100, NULL, 0);
}

static void
bad_keys_are_refused_by_every_call(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "",     "/a",    "a/",         "a//b", ".",           "..",        "a/../b", "./",
        "a\nb", "a\x7f", "a\xc2\x85z", "\xff", ".millrace/x", ".millrace", "a/.",    "\xed\xa0\x80",
    };
    struct mr_slice text = MR_SLICE("x");
    for (size_t i = 0; i < MR_COUNT(keys); i++) {
        const char *key = keys[i];
        assert_code(mr_store_put(store, key, text, NULL, NULL), MR_E(INVALID));
        assert_code(mr_store_put_new(store, key, text, NULL, NULL), MR_E(INVALID));
        assert_code(mr_store_put_new_file(store, key, "/dev/null", NULL, NULL), MR_E(INVALID));
        assert_code(mr_store_get(store, key, &body, NULL, NULL), MR_E(INVALID));
        assert_code(mr_store_get_range(store, key, 0, 1, &body, NULL), MR_E(INVALID));
        assert_code(mr_store_get_file(store, key, "/dev/null", NULL), MR_E(INVALID));
        assert_code(mr_store_head(store, key, NULL, NULL, NULL), MR_E(INVALID));
        assert_code(mr_store_remove(store, key, NULL), MR_E(INVALID));
    }
    assert_code(mr_store_put(store, "../out", text, NULL, &err), MR_E(INVALID));
    assert_int_equal(err.remedy, MR_REJECT);
    assert_non_null(strstr(err.text, "../out"));
}

static void
bad_prefixes_are_refused(void **state)
{
    (void)state;
    static const char *const prefixes[] = { "/", "../", "a//b", "a/../", "\xff" };
    struct mr_object *items = NULL;
    size_t count = 0;
    for (size_t i = 0; i < MR_COUNT(prefixes); i++)
        assert_code(mr_store_list(store, prefixes[i], NULL, 1, &items, &count, NULL),
                    MR_E(INVALID));
}

static void
a_key_may_have_1024_bytes_but_not_one_more(void **state)
{
    (void)state;
    char key[MR_STORE_KEY_MAX + 2];
    size_t max = store_key_max();
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = i % 100 == 99 ? '/' : 'k';
    key[max + 1] = '\0';
    assert_code(mr_store_put(store, key, MR_SLICE("x"), NULL, NULL), MR_E(INVALID));
    key[max] = '\0';
    STORE_GOOD(mr_store_put_new(store, key, MR_SLICE("long"), NULL, &err), err);
    assert_body(key, "long");
    const char *keys[] = { key };
    assert_list("", NULL, 10, keys, 1);
}

/* ---- the whole ---- */

static void
a_probe_is_passed_and_leaves_nothing(void **state)
{
    (void)state;
    STORE_GOOD(mr_store_probe(store, &err), err);
    STORE_GOOD(mr_store_probe(store, &err), err);
    assert_list("", NULL, 10, NULL, 0);
}

static void
two_handles_see_each_others_objects(void **state)
{
    (void)state;
    MR_CLEANUP(mr_store_closep) struct mr_store *other = store_open_here();
    STORE_GOOD(mr_store_put_new(other, "k", MR_SLICE("theirs"), NULL, &err), err);
    assert_code(mr_store_put_new(store, "k", MR_SLICE("ours"), NULL, NULL), MR_E(EXISTS));
    assert_body("k", "theirs");
}

struct race {
    size_t rounds;
    pthread_barrier_t start, end;
    atomic_int winner, winners, bad_rounds;
};

struct racer {
    struct race *race;
    struct mr_store *store;
    pthread_t thread;
    int number;
};

static void
judge_round(struct racer *racer, const char *key)
{
    struct race *race = racer->race;
    char wanted[32];
    MR_CLEANUP(mr_buf_fini) struct mr_buf kept;
    mr_buf_init(&kept, BODY_MAX);
    (void)snprintf(wanted, sizeof(wanted), "racer %d", race->winner);
    int code = mr_store_get(racer->store, key, &kept, NULL, NULL);
    bool good = race->winners == 1 && code == 0 && mr_slice_is_text(mr_buf_slice(&kept), wanted);
    race->bad_rounds += good ? 0 : 1;
    race->winners = 0;
}

static void *
run_racer(void *context)
{
    struct racer *racer = context;
    struct race *race = racer->race;
    char key[32], text[32];
    (void)snprintf(text, sizeof(text), "racer %d", racer->number);
    for (size_t round = 0; round < race->rounds; round++) {
        (void)snprintf(key, sizeof(key), "race/%zu", round);
        (void)pthread_barrier_wait(&race->start);
        struct mr_err failed = { 0 };
        int code = mr_store_put_new(racer->store, key, mr_slice_text(text), NULL, &failed);
        if (code == 0) {
            race->winners++;
            race->winner = racer->number;
        } else if (code != MR_E(EXISTS)) {
            (void)fprintf(stderr, "%s: %s\n", key, failed.text);
            race->bad_rounds++;
        }
        (void)pthread_barrier_wait(&race->end);
        if (racer->number == 0)
            judge_round(racer, key);
    }
    return NULL;
}

size_t
store_race(size_t rounds)
{
    struct race race = { .rounds = rounds };
    struct racer racers[STORE_RACERS];
    (void)pthread_barrier_init(&race.start, NULL, STORE_RACERS);
    (void)pthread_barrier_init(&race.end, NULL, STORE_RACERS);
    for (int i = 0; i < STORE_RACERS; i++) {
        racers[i] = (struct racer){ .race = &race, .number = i, .store = store_open_here() };
        assert_int_equal(pthread_create(&racers[i].thread, NULL, run_racer, &racers[i]), 0);
    }
    for (int i = 0; i < STORE_RACERS; i++) {
        (void)pthread_join(racers[i].thread, NULL);
        mr_store_close(racers[i].store);
    }
    (void)pthread_barrier_destroy(&race.start);
    (void)pthread_barrier_destroy(&race.end);
    return (size_t)race.bad_rounds;
}

static void
of_16_creators_exactly_one_wins_200_times(void **state)
{
    (void)state;
    assert_int_equal(store_race(200), 0);
}

#define PROMISE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
store_promises_run(const char *name)
{
    const struct CMUnitTest promises[] = {
        PROMISE(an_object_comes_back_with_its_bytes_and_metadata),
        PROMISE(metadata_at_its_limits_comes_back),
        PROMISE(an_empty_object_is_an_object),
        PROMISE(put_replaces_what_was_there),
        PROMISE(put_new_refuses_a_name_that_is_taken),
        PROMISE(a_big_file_goes_in_and_comes_out_whole),
        PROMISE(what_does_not_exist_is_not_found),
        PROMISE(a_range_ends_with_the_object),
        PROMISE(a_body_may_fill_the_buffer_but_not_pass_it),
        PROMISE(head_tells_name_size_and_time),
        PROMISE(remove_is_content_with_what_is_gone),
        PROMISE(a_list_is_in_byte_order_and_goes_on_behind_any_key),
        PROMISE(a_list_tells_sizes_and_times),
        PROMISE(a_list_longer_than_a_page_is_complete),
        PROMISE(odd_characters_in_keys_stay_as_they_are),
        PROMISE(bad_keys_are_refused_by_every_call),
        PROMISE(bad_prefixes_are_refused),
        PROMISE(a_key_may_have_1024_bytes_but_not_one_more),
        PROMISE(a_probe_is_passed_and_leaves_nothing),
        PROMISE(two_handles_see_each_others_objects),
        PROMISE(of_16_creators_exactly_one_wins_200_times),
    };
    return cmocka_run_group_tests_name(name, promises, NULL, NULL);
}
