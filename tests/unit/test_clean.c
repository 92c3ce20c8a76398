/*
 * The rules of the shipped kinds, against the cleaning rules, worked out here
 * once more in plain C; and the texts that a person sees for a clean.sql that cannot stay.
 */
#include "clean/clean.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "contract/contract.h"
#include "test.h"

struct fixture {
    struct mr_contracts *contracts;
    struct mr_clean *clean;
    struct mr_columns *input; /* of the kind that a test works with */
};

static char *
path_in(const char *variable, const char *file)
{
    const char *folder = getenv(variable);
    return mr_printf("%s/%s", folder != NULL ? folder : ".", file);
}

static int
set_up(void **state)
{
    struct fixture *f = mr_alloc(sizeof(*f));
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_freep) char *kinds = path_in("MILLRACE_BUILD", "kinds");
    if (mr_contracts_open(kinds, &f->contracts, &err) != 0 ||
        mr_clean_open(f->contracts, 0, &f->clean, &err) != 0)
        fail_msg("%s", err.text);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;
    mr_columns_free(f->input);
    mr_clean_close(f->clean);
    mr_contracts_close(f->contracts);
    free(f);
    return 0;
}

/* One more input row, from a JSON object, by the contract's own way. */
static void
put_json(struct fixture *f, const char *kind_name, const char *json)
{
    const struct mr_kind *kind = mr_contracts_find(f->contracts, kind_name);
    MR_CLEANUP(mr_buf_fini) struct mr_buf record, key;
    struct mr_verdict verdict;
    struct mr_err err = { 0 };
    assert_non_null(kind);
    mr_buf_init(&record, 1 << 20);
    mr_buf_init(&key, 1 << 20);
    if (f->input == NULL)
        f->input = mr_columns_new(&kind->input);
    if (mr_contract_check(kind, mr_slice_text(json), &record, &key, &verdict) != 0)
        fail_msg("%s: %s", json, verdict.reason);
    if (mr_contract_decode(kind, MR_INPUT, mr_buf_slice(&record), f->input, &err) != 0)
        fail_msg("%s: %s", json, err.text);
}

static struct mr_cleaned
run(struct fixture *f, const char *kind)
{
    struct mr_cleaned cleaned;
    struct mr_err err = { 0 };
    if (mr_clean_run(mr_clean_find(f->clean, kind), f->input, &cleaned, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(cleaned.rows->rows, f->input->rows);
    return cleaned;
}

static const struct mr_column *
column(const struct mr_cleaned *cleaned, const char *name)
{
    for (size_t c = 0; c < cleaned->rows->count; c++)
        if (strcmp(cleaned->rows->columns[c].field.name, name) == 0)
            return &cleaned->rows->columns[c];
    fail_msg("no column %s", name);
    return NULL;
}

static int64_t
hits(struct fixture *f, const char *kind, const struct mr_cleaned *cleaned, const char *rule)
{
    const struct mr_clean_kind *rules = mr_clean_find(f->clean, kind);
    for (size_t i = 0; i < mr_clean_rules(rules); i++)
        if (strcmp(mr_clean_rule(rules, i), rule) == 0)
            return cleaned->rule_hits[i];
    fail_msg("no rule %s", rule);
    return -1;
}

/* ---- the same rules once more, on JSON ---- */

static bool
is_missing(const char *field, const char *text)
{
    static const char *const tokens[][2] = {
        { "title", "No Title Data Available" },
        { "description", "No description available Story format" },
        { "description", "No description available" },
        { "description", "Untitled" },
        { "poster_name", "User Info Error" },
        { "follower_count", "User Info Error" },
        { "tag_list", "N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e" },
        { "image_src", "Image src error." },
    };
    for (size_t i = 0; i < MR_COUNT(tokens); i++)
        if (strcmp(field, tokens[i][0]) == 0 &&
            (text[0] == '\0' || strcmp(text, tokens[i][1]) == 0))
            return true;
    return false;
}

static int64_t
count_of(const char *text)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    for (const char *unit = "kmb"; *unit != '\0'; unit++) {
        value *= 1000;
        if (end[0] == *unit || end[0] == *unit - 'a' + 'A')
            return value;
    }
    assert_string_equal(end, "");
    return strtoll(text, NULL, 10);
}

static void
assert_pin(const struct mr_cleaned *cleaned, size_t row, json_t *pin)
{
    static const char *const texts[] = { "unique_id",   "title",         "description",
                                         "poster_name", "tag_list",      "is_image_or_video",
                                         "image_src",   "save_location", "category" };
    static const char label[] = "Local save in ";
    assert_int_equal(mr_column_int(column(cleaned, "ind"), row),
                     json_integer_value(json_object_get(pin, "index")));
    for (size_t i = 0; i < MR_COUNT(texts); i++) {
        const struct mr_column *at = column(cleaned, texts[i]);
        const char *text = json_string_value(json_object_get(pin, texts[i]));
        assert_int_equal(mr_column_is_null(at, row), is_missing(texts[i], text));
        if (strcmp(texts[i], "save_location") == 0 && strncmp(text, label, sizeof(label) - 1) == 0)
            text += sizeof(label) - 1;
        if (!mr_column_is_null(at, row))
            assert_true(mr_slice_is_text(mr_column_text(at, row), text));
    }
    const struct mr_column *followers = column(cleaned, "follower_count");
    const char *text = json_string_value(json_object_get(pin, "follower_count"));
    assert_int_equal(mr_column_is_null(followers, row), is_missing("follower_count", text));
    if (!mr_column_is_null(followers, row))
        assert_int_equal(mr_column_int(followers, row), count_of(text));
}

static void
assert_geo(const struct mr_cleaned *cleaned, size_t row, json_t *geo)
{
    const struct mr_column *pair = column(cleaned, "coordinates");
    size_t from, to;
    assert_int_equal(mr_column_int(column(cleaned, "ind"), row),
                     json_integer_value(json_object_get(geo, "ind")));
    mr_column_list(pair, row, &from, &to);
    assert_int_equal(to - from, 2);
    assert_true(mr_column_double(pair->child, from) ==
                json_number_value(json_object_get(geo, "latitude")));
    assert_true(mr_column_double(pair->child, from + 1) ==
                json_number_value(json_object_get(geo, "longitude")));
    assert_true(mr_slice_is_text(mr_column_text(column(cleaned, "country"), row),
                                 json_string_value(json_object_get(geo, "country"))));
    char text[32];
    time_t seconds = (time_t)(mr_column_int(column(cleaned, "timestamp"), row) / 1000000);
    struct tm parts;
    (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", gmtime_r(&seconds, &parts));
    assert_string_equal(text, json_string_value(json_object_get(geo, "timestamp")));
}

static void
assert_user(const struct mr_cleaned *cleaned, size_t row, json_t *user)
{
    MR_CLEANUP(mr_freep)
    char *name = mr_printf("%s %s", json_string_value(json_object_get(user, "first_name")),
                           json_string_value(json_object_get(user, "last_name")));
    assert_true(mr_slice_is_text(mr_column_text(column(cleaned, "user_name"), row), name));
    assert_int_equal(mr_column_int(column(cleaned, "age"), row),
                     json_integer_value(json_object_get(user, "age")));
    assert_false(mr_column_is_null(column(cleaned, "date_joined"), row));
}

/* Rows of a file of shared data, cleaned in one batch and compared one by one. field: "" for the
 * whole line. */
static void
compare_file(struct fixture *f, const char *file, const char *field, const char *kind,
             void (*compare)(const struct mr_cleaned *, size_t, json_t *))
{
    MR_CLEANUP(mr_freep) char *path = path_in("MILLRACE_SOURCE", file);
    FILE *lines = fopen(path, "r");
    if (lines == NULL) {
        print_message("SKIPPED: %s: %s\n", path, strerror(errno));
        mr_freep(&path); /* skip jumps past the end of the scope */
        skip();
    }
    json_t *all = json_array();
    MR_CLEANUP(mr_freep) char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, lines) > 0) {
        json_t *event = json_loads(line, 0, NULL);
        json_t *part = field[0] != '\0' ? json_object_get(event, field) : event;
        MR_CLEANUP(mr_freep) char *text = json_dumps(part, JSON_COMPACT);
        put_json(f, kind, text);
        (void)json_array_append(all, part);
        json_decref(event);
    }
    (void)fclose(lines);
    struct mr_cleaned cleaned = run(f, kind);
    assert_int_equal(cleaned.errors_count, 0);
    assert_true(json_array_size(all) > 1000);
    for (size_t row = 0; row < json_array_size(all); row++)
        compare(&cleaned, row, json_array_get(all, row));
    json_decref(all);
}

static void
real_pins_come_out_as_worked_out_here(void **state)
{
    compare_file(*state, "../shared/data/pinterest_data_raw_partial.ndjson", "", "pin", assert_pin);
}

static void
real_emissions_of_pins_come_out_as_worked_out_here(void **state)
{
    compare_file(*state, "../shared/data/emissions_seed100.ndjson", "pin", "pin", assert_pin);
}

static void
real_emissions_of_geo_come_out_as_worked_out_here(void **state)
{
    compare_file(*state, "../shared/data/emissions_seed100.ndjson", "geo", "geo", assert_geo);
}

static void
real_emissions_of_users_come_out_as_worked_out_here(void **state)
{
    compare_file(*state, "../shared/data/emissions_seed100.ndjson", "user", "user", assert_user);
}

/* ---- single rules ---- */

static void
follower_counts_are_exact_to_the_last_one(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        int64_t count;
    } cases[] = {
        { "0", 0 },
        { "124k", 124000 },
        { "5M", 5000000 },
        { "12K", 12000 },
        { "3B", 3000000000 },
        { "1.5k", 1500 },
        { "0.001k", 1 },
        { "1.005k", 1005 },
        { "2.999999M", 2999999 },
        { "4.35m", 4350000 },
        { "1.123456789b", 1123456789 },
        { "12.0", 12 },
        { "9223372036854775807", INT64_MAX },
        { "9223372036854775.807k", INT64_MAX },
    };
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        MR_CLEANUP(mr_freep)
        char *json = mr_printf("{\"index\":%zu,\"follower_count\":\"%s\"}", i, cases[i].text);
        put_json(f, "pin", json);
    }
    struct mr_cleaned cleaned = run(f, "pin");
    assert_int_equal(cleaned.errors_count, 0);
    for (size_t i = 0; i < MR_COUNT(cases); i++)
        assert_true(mr_column_int(column(&cleaned, "follower_count"), i) == cases[i].count);
    assert_int_equal(hits(f, "pin", &cleaned, "follower_count_scaled"), 11);
}

static void
only_the_rows_that_fail_are_blamed(void **state)
{
    struct fixture *f = *state;
    enum { ROWS = 1000 };
    static const char *const bad[] = { "9223372036854775808", "many", "k", "9999999999999999k" };
    for (int n = 0; n < ROWS; n++) {
        MR_CLEANUP(mr_freep)
        char *json = mr_printf("{\"index\":%d,\"follower_count\":\"%s\"}", n,
                               n % 333 == 0 ? bad[n / 333] : "12k");
        put_json(f, "pin", json);
    }
    struct mr_cleaned cleaned = run(f, "pin");
    assert_int_equal(cleaned.errors_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(cleaned.errors[i].row, i * 333);
        assert_true(mr_column_is_null(column(&cleaned, "ind"), i * 333));
        assert_true(strlen(cleaned.errors[i].text) > 20);
    }
    assert_non_null(strstr(cleaned.errors[1].text, "'many'"));
    for (size_t n = 0; n < ROWS; n++)
        if (n % 333 != 0)
            assert_int_equal(mr_column_int(column(&cleaned, "ind"), n), n);
    assert_int_equal(hits(f, "pin", &cleaned, "follower_count_scaled"), ROWS - 4);
    assert_int_equal(cleaned.column_nulls[0], 0);
    assert_int_equal(cleaned.column_nulls[4], 0);   /* follower_count */
    assert_int_equal(cleaned.column_nulls[2], 996); /* title: never posted */
}

static void
rows_that_all_fail_are_all_blamed(void **state)
{
    struct fixture *f = *state;
    for (int n = 0; n < 7; n++)
        put_json(f, "pin", "{\"index\":1,\"follower_count\":\"none\"}");
    struct mr_cleaned cleaned = run(f, "pin");
    assert_int_equal(cleaned.errors_count, 7);
    assert_int_equal(hits(f, "pin", &cleaned, "follower_count_missing"), 0);
    mr_columns_reset(f->input);
    put_json(f, "pin", "{\"index\":1,\"follower_count\":\"\"}");
    cleaned = run(f, "pin");
    assert_int_equal(cleaned.errors_count, 0);
    assert_int_equal(hits(f, "pin", &cleaned, "follower_count_missing"), 1);
}

static void
a_batch_of_none_gives_none(void **state)
{
    struct fixture *f = *state;
    f->input = mr_columns_new(&mr_contracts_find(f->contracts, "user")->input);
    struct mr_cleaned cleaned = run(f, "user");
    assert_int_equal(cleaned.rows->rows, 0);
}

static void
near_misses_stay_as_they_are(void **state)
{
    struct fixture *f = *state;
    put_json(f, "pin",
             "{\"index\":1,\"title\":\"no title data available\",\"image_src\":\"Image src error\","
             "\"poster_name\":\" Ann \",\"description\":\"Untitled \","
             "\"save_location\":\"Local save in/data\"}");
    struct mr_cleaned cleaned = run(f, "pin");
    assert_true(
        mr_slice_is_text(mr_column_text(column(&cleaned, "image_src"), 0), "Image src error"));
    assert_true(mr_slice_is_text(mr_column_text(column(&cleaned, "poster_name"), 0), " Ann "));
    assert_true(mr_slice_is_text(mr_column_text(column(&cleaned, "save_location"), 0),
                                 "Local save in/data"));
    for (size_t i = 0; i < mr_clean_rules(mr_clean_find(f->clean, "pin")); i++)
        assert_int_equal(cleaned.rule_hits[i], 0);
}

static void
half_a_place_is_no_place_and_half_a_name_no_name(void **state)
{
    struct fixture *f = *state;
    put_json(f, "geo", "{\"ind\":1,\"latitude\":1.5,\"country\":\"A\"}");
    struct mr_cleaned cleaned = run(f, "geo");
    assert_true(mr_column_is_null(column(&cleaned, "coordinates"), 0));
    assert_int_equal(hits(f, "geo", &cleaned, "coordinates_missing"), 1);
    mr_columns_freep(&f->input);
    put_json(f, "user", "{\"ind\":1,\"first_name\":\"Ann\"}");
    cleaned = run(f, "user");
    assert_true(mr_column_is_null(column(&cleaned, "user_name"), 0));
    assert_int_equal(hits(f, "user", &cleaned, "user_name_missing"), 1);
}

/* ---- what cannot stay ---- */

static void
write_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Opens the shipped contract of user with another clean.sql; the text of the refusal. */
static void
assert_refused(const char *sql, const char *why)
{
    char dir[] = "/tmp/millrace-clean-XXXXXX", binpb[1 << 16];
    assert_non_null(mkdtemp(dir));
    MR_CLEANUP(mr_freep) char *folder = mr_printf("%s/user", dir);
    MR_CLEANUP(mr_freep) char *to = mr_printf("%s/user.binpb", folder);
    MR_CLEANUP(mr_freep) char *clean_sql = mr_printf("%s/clean.sql", folder);
    MR_CLEANUP(mr_freep) char *from = path_in("MILLRACE_BUILD", "kinds/user/user.binpb");
    MR_CLEANUP(mr_freep) char *remove = mr_printf("rm -r %s", dir);
    MR_CLEANUP(mr_contracts_closep) struct mr_contracts *contracts = NULL;
    MR_CLEANUP(mr_clean_closep) struct mr_clean *clean = NULL;
    struct mr_err err = { 0 };
    assert_int_equal(mkdir(folder, 0700), 0);
    FILE *file = fopen(from, "rb");
    assert_non_null(file);
    write_file(to, binpb, fread(binpb, 1, sizeof(binpb), file));
    (void)fclose(file);
    write_file(clean_sql, sql, strlen(sql));

    if (mr_contracts_open(dir, &contracts, &err) != 0)
        fail_msg("%s", err.text);
    if (mr_clean_open(contracts, 0, &clean, &err) != MR_E(INVALID))
        fail_msg("%s: opened", sql);
    if (strncmp(err.text, "kind user, clean.sql: ", 22) != 0 || strstr(err.text, why) == NULL)
        fail_msg("wanted '%s', got '%s'", why, err.text);
    assert_int_equal(system(remove), 0);
}

static void
a_clean_sql_that_cannot_stay_is_refused_with_its_reason(void **state)
{
    (void)state;
#define LIST "SELECT ind, first_name || last_name AS user_name, age, date_joined"
    static const char *const cases[][2] = {
        { LIST " FROM \"user\" WHERE age > 1", "WHERE leaves rows out" },
        { "SELECT ind, uuid()::VARCHAR AS user_name, age, date_joined FROM \"user\"", "uuid()" },
        { "SELECT ind, first_name AS name, age, date_joined FROM \"user\"",
          "column 2 is 'name', the table's field 'user_name' belongs there" },
        { "SELECT ind FROM \"user\"", "column 2 is missing: the table's field 'user_name'" },
        { LIST ", 1 AS more FROM \"user\"", "column 5, 'more', is more than the table has" },
        { "SELECT [1] AS ind, '' AS user_name, age, date_joined FROM \"user\"",
          "column 1, 'ind', is integer list, the table's field is long" },
        { "SELECT ind, '' AS user_name, age, age AS date_joined FROM \"user\"",
          "column 4, 'date_joined', is long, the table's field is timestamp" },
        { LIST " FROM pin", "FROM must be plainly user, not pin" },
        { "-- rule sum: sum(age) > 1\n" LIST " FROM \"user\"", "sum()" },
        { "-- rule two: 1, 2\n" LIST " FROM \"user\"", "rule 'two' is not true or false" },
        { "-- rule no name\n" LIST " FROM \"user\"", "write -- rule NAME: EXPRESSION" },
        { "-- rule A: true\n" LIST " FROM \"user\"", "a-z, 0-9 and _ only" },
        { "-- rule a: true\n-- rule a: true\n" LIST " FROM \"user\"", "twice" },
        { LIST " FROM \"user\"; DROP TABLE x", "Only SELECT" },
        { "-- nothing", "0 statements" },
    };
    for (size_t i = 0; i < MR_COUNT(cases); i++)
        assert_refused(cases[i][0], cases[i][1]);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(real_pins_come_out_as_worked_out_here),
        TEST(real_emissions_of_pins_come_out_as_worked_out_here),
        TEST(real_emissions_of_geo_come_out_as_worked_out_here),
        TEST(real_emissions_of_users_come_out_as_worked_out_here),
        TEST(follower_counts_are_exact_to_the_last_one),
        TEST(only_the_rows_that_fail_are_blamed),
        TEST(rows_that_all_fail_are_all_blamed),
        TEST(a_batch_of_none_gives_none),
        TEST(near_misses_stay_as_they_are),
        TEST(half_a_place_is_no_place_and_half_a_name_no_name),
        cmocka_unit_test(a_clean_sql_that_cannot_stay_is_refused_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
