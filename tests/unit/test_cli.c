/*
 * The emulated producer: its sequence and its records; and numbers as people read them.
 */
#include <jansson.h>
#include <stdlib.h>

#include "cli.h"
#include "sample.h"
#include "sequence.h"
#include "test.h"

enum { ROWS = 11001 };

static uint32_t
draw(struct sequence *sequence)
{
    (void)sequence_below(sequence, 2); /* the pause */
    return sequence_below(sequence, ROWS);
}

static void
seed_100_draws_the_known_rows(void **state)
{
    (void)state;
    static const uint32_t known[] = { 7528, 2863, 5730, 8304, 8731, 1313, 4315, 10794, 5494, 5069 };
    struct sequence sequence;
    sequence_seed(&sequence, 100);
    for (size_t i = 0; i < MR_COUNT(known); i++)
        assert_int_equal(draw(&sequence), known[i]);
}

static void
duplicates_are_built_in_as_known(void **state)
{
    (void)state;
    static const struct {
        int emissions, distinct;
    } known[] = { { 500, 494 }, { 1000, 963 }, { 1333, 1249 }, { 2000, 1824 } };
    for (size_t i = 0; i < MR_COUNT(known); i++) {
        bool seen[ROWS] = { false };
        int distinct = 0;
        struct sequence sequence;
        sequence_seed(&sequence, 100);
        for (int n = 0; n < known[i].emissions; n++) {
            uint32_t row = draw(&sequence);
            distinct += !seen[row];
            seen[row] = true;
        }
        assert_int_equal(distinct, known[i].distinct);
    }
}

static json_t *
made(void (*sample)(uint32_t, struct mr_buf *), uint32_t row)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, 1 << 16);
    sample(row, &text);
    assert_false(text.failed);
    json_t *record = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(record);
    return record;
}

static bool
is(const json_t *record, const char *field, const char *value)
{
    return strcmp(json_string_value(json_object_get(record, field)), value) == 0;
}

/* Every token and shape comes, and about as often as in real records. */
static void
made_up_pins_show_every_shape_in_its_proportion(void **state)
{
    (void)state;
    struct {
        const char *field, *value;
        int least, most; /* of all rows */
        int count;
    } tokens[] = {
        { "title", "No Title Data Available", 30, 150, 0 },
        { "title", "", 1, 40, 0 },
        { "description", "No description available Story format", 500, 1000, 0 },
        { "description", "No description available", 80, 300, 0 },
        { "description", "Untitled", 1, 80, 0 },
        { "poster_name", "User Info Error", 30, 150, 0 },
        { "follower_count", "User Info Error", 30, 150, 0 },
        { "tag_list", "N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e", 60, 250, 0 },
        { "image_src", "Image src error.", 100, 400, 0 },
        { "is_image_or_video", "video", 150, 600, 0 },
    };
    int thousands = 0, millions = 0;
    for (uint32_t row = 0; row < ROWS; row++) {
        json_t *pin = made(sample_pin, row);
        const char *followers = json_string_value(json_object_get(pin, "follower_count"));
        assert_int_equal(json_integer_value(json_object_get(pin, "index")), row);
        assert_int_equal(json_object_size(pin), 12);
        for (size_t i = 0; i < MR_COUNT(tokens); i++)
            tokens[i].count += is(pin, tokens[i].field, tokens[i].value);
        assert_int_equal(json_integer_value(json_object_get(pin, "downloaded")),
                         is(pin, "image_src", "Image src error.") ? 0 : 1);
        thousands += followers[strlen(followers) - 1] == 'k';
        millions += followers[strlen(followers) - 1] == 'M';
        json_decref(pin);
    }
    for (size_t i = 0; i < MR_COUNT(tokens); i++)
        assert_in_range(tokens[i].count, tokens[i].least, tokens[i].most);
    assert_in_range(thousands, 7500, 8800);
    assert_in_range(millions, 600, 1200);
}

static void
the_same_row_is_the_same_record_for_ever(void **state)
{
    (void)state;
    MR_CLEANUP(mr_buf_fini) struct mr_buf geo;
    mr_buf_init(&geo, 1 << 16);
    sample_geo(7528, &geo);
    assert_string_equal(geo.data, "{\"ind\": 7528, \"timestamp\": \"2018-11-26 23:42:22\", "
                                  "\"latitude\": 38.1957, \"longitude\": 58.2729, "
                                  "\"country\": \"Fiji\"}");
    for (uint32_t row = 0; row < 100; row++) {
        json_t *user = made(sample_user, row);
        json_t *again = made(sample_user, row);
        assert_true(json_equal(user, again));
        assert_in_range(json_integer_value(json_object_get(user, "age")), 20, 60);
        json_decref(user);
        json_decref(again);
    }
}

static void
numbers_have_the_shortest_decimals_that_read_back(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } known[] = { { 41000, "41000" },
                  { 6000.5, "6000.5" },
                  { 0.1, "0.1" },
                  { -89.9787, "-89.9787" },
                  { 1500000, "1500000" },
                  { 0, "0" },
                  { 1.0 / 3, "0.3333333333333333" } };
    for (size_t i = 0; i < MR_COUNT(known); i++) {
        MR_CLEANUP(mr_buf_fini) struct mr_buf text;
        mr_buf_init(&text, 100);
        print_double(&text, known[i].value);
        assert_string_equal(text.data, known[i].text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seed_100_draws_the_known_rows),
        cmocka_unit_test(duplicates_are_built_in_as_known),
        cmocka_unit_test(made_up_pins_show_every_shape_in_its_proportion),
        cmocka_unit_test(the_same_row_is_the_same_record_for_ever),
        cmocka_unit_test(numbers_have_the_shortest_decimals_that_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
