#include "contract_kind.h"

#include <millrace/v1/event.pb-c.h>

#define DEAD(code) MILLRACE__V1__DEAD_CODE__##code

static struct mr_contracts *contracts;
static const struct mr_kind *kind;
static struct mr_buf record, key;
static struct mr_verdict verdict;

static int
check_bytes(const char *json, size_t size)
{
    /* Exactly as large as the value, so that a sanitizer sees a byte read behind it. */
    MR_CLEANUP(mr_freep) char *copy = mr_alloc(size);
    memcpy(copy, json, size);
    memset(&verdict, 0, sizeof(verdict));
    return mr_contract_check(kind, mr_slice(copy, size), &record, &key, &verdict);
}

static int
check(const char *json)
{
    return check_bytes(json, strlen(json));
}

/* The value is good, and its row as JSON holds part. */
static void
is_good(const char *json, const char *part)
{
    struct mr_columns *columns = mr_columns_new(&kind->input);
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, 1 << 20);
    if (check(json) != 0)
        fail_msg("%s: %s", json, verdict.reason);
    assert_int_equal(mr_contract_decode(kind, MR_INPUT, mr_buf_slice(&record), columns, &err), 0);
    mr_contract_json(&kind->input, columns, 0, &text);
    if (strstr(text.data, part) == NULL)
        fail_msg("%s: no %s in %s", json, part, text.data);
    mr_columns_free(columns);
}

static void
is_dead(const char *json, int code, const char *field)
{
    if (check(json) != 1)
        fail_msg("%s: taken", json);
    if (verdict.code != code || strcmp(verdict.field, field) != 0)
        fail_msg("%s: code %d field %s: %s", json, verdict.code, verdict.field, verdict.reason);
    assert_true(verdict.reason[0] != '\0' && verdict.rule[0] != '\0');
    assert_int_equal(record.size + key.size, 0);
}

/* ---- numbers ---- */

static void
whole_numbers_are_exact_to_the_last_one(void **state)
{
    (void)state;
    is_good("{\"id\":9223372036854775807}", "\"id\":9223372036854775807,");
    is_good("{\"id\":-9223372036854775808}", "\"id\":-9223372036854775808,");
    is_good("{\"id\":0}", "\"id\":0,");
    is_good("{\"id\":-0}", "\"id\":0,");
    is_dead("{\"id\":9223372036854775808}", DEAD(OUT_OF_RANGE), "id");
    is_dead("{\"id\":-9223372036854775809}", DEAD(OUT_OF_RANGE), "id");
    is_dead("{\"id\":99999999999999999999999}", DEAD(OUT_OF_RANGE), "id");
    is_dead("{\"id\":1e19}", DEAD(OUT_OF_RANGE), "id");
    is_dead("{\"id\":1e999999999999999999999}", DEAD(OUT_OF_RANGE), "id");
}

static void
whole_numbers_may_be_spelled_with_point_and_e(void **state)
{
    (void)state;
    is_good("{\"id\":7.0}", "\"id\":7,");
    is_good("{\"id\":1e3}", "\"id\":1000,");
    is_good("{\"id\":1.5E+1}", "\"id\":15,");
    is_good("{\"id\":1200e-2}", "\"id\":12,");
    is_good("{\"id\":0e999999999999}", "\"id\":0,");
    is_good("{\"id\":1.000000000000000000000000000000}", "\"id\":1,");
    is_dead("{\"id\":7.5}", DEAD(WRONG_TYPE), "id");
    is_dead("{\"id\":1e-1}", DEAD(WRONG_TYPE), "id");
    is_dead("{\"id\":123456789012345678901234567890.5}", DEAD(WRONG_TYPE), "id");
}

static void
decimals_are_the_nearest_double(void **state)
{
    (void)state;
    is_good("{\"id\":1,\"ratio\":-89.9787}", "\"ratio\":-89.9787,");
    is_good("{\"id\":1,\"ratio\":9007199254740993}", "\"ratio\":9007199254740992,");
    is_good("{\"id\":1,\"ratio\":0.1}", "\"ratio\":0.1,");
    is_good("{\"id\":1,\"ratio\":2.2250738585072011e-308}", "\"ratio\":2.225073858507201e-308,");
    is_good("{\"id\":1,\"ratio\":123456789012345678901234567890}",
            "\"ratio\":1.2345678901234568e+29,");
    is_good("{\"id\":1,\"ratio\":1.7976931348623157e308}", "\"ratio\":1.7976931348623157e+308,");
    is_good("{\"id\":1,\"ratio\":1e-400}", "\"ratio\":0,");
    is_good("{\"id\":1,\"ratio\":-0}", "\"ratio\":-0,");
    is_dead("{\"id\":1,\"ratio\":1e309}", DEAD(OUT_OF_RANGE), "ratio");
    is_dead("{\"id\":1,\"ratio\":1e309", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"ratio\":123456789012345678901", DEAD(NOT_JSON), "");
}

static void
numbers_keep_their_bounds(void **state)
{
    (void)state;
    is_good("{\"id\":1,\"small\":-5}", "\"small\":-5,");
    is_good("{\"id\":1,\"small\":100}", "\"small\":100,");
    is_dead("{\"id\":1,\"small\":-6}", DEAD(OUT_OF_RANGE), "small");
    assert_string_equal(verdict.rule, "min");
    assert_string_equal(verdict.value, "-6");
    assert_string_equal(verdict.reason, "small must be at least -5");
    is_dead("{\"id\":1,\"small\":101}", DEAD(OUT_OF_RANGE), "small");
    assert_string_equal(verdict.rule, "max");
    is_dead("{\"id\":1,\"small\":2147483648}", DEAD(OUT_OF_RANGE), "small");
    assert_string_equal(verdict.rule, "type");
}

static void
numbers_come_as_text_only_where_the_kind_says_so(void **state)
{
    (void)state;
    is_good("{\"id\":\"7528\"}", "\"id\":7528,");
    is_good("{\"id\":\"\\u0037\"}", "\"id\":7,");
    is_good("{\"id\":1,\"ratio\":\"-1.5\"}", "\"ratio\":-1.5,");
    is_good("{\"id\":1,\"count\":1e3}", "\"count\":\"1e3\",");
    is_good("{\"id\":1,\"count\":124000}", "\"count\":\"124000\",");
    is_good("{\"id\":1,\"count\":\"124k\"}", "\"count\":\"124k\",");
    is_dead("{\"id\":1,\"small\":\"5\"}", DEAD(WRONG_TYPE), "small");
    is_dead("{\"id\":1,\"note\":5}", DEAD(WRONG_TYPE), "note");
    is_dead("{\"id\":\"\"}", DEAD(WRONG_TYPE), "id");
    is_dead("{\"id\":\"seven\"}", DEAD(WRONG_TYPE), "id");
    assert_string_equal(verdict.value, "\"seven\"");
    is_dead("{\"id\":\" 7\"}", DEAD(WRONG_TYPE), "id");
    is_dead("{\"id\":\"7 \"}", DEAD(WRONG_TYPE), "id");
    is_dead("{\"id\":\"007\"}", DEAD(WRONG_TYPE), "id");
    is_dead("{\"id\":\"0x10\"}", DEAD(WRONG_TYPE), "id");
    is_dead("{\"id\":\"99999999999999999999\"}", DEAD(OUT_OF_RANGE), "id");
    is_dead("{\"id\":true}", DEAD(WRONG_TYPE), "id");
    is_dead("{\"id\":{\"a\":1}}", DEAD(WRONG_TYPE), "id");
    is_dead("{\"id\":1,\"fine\":1}", DEAD(WRONG_TYPE), "fine");
    is_good("{\"id\":1,\"fine\":false}", "\"fine\":false,");
}

/* ---- text ---- */

static void
escapes_become_the_characters_they_mean(void **state)
{
    (void)state;
    is_good("{\"id\":1,\"count\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
            "\"count\":\"\\\"\\\\/\\u0008\\u000c\\n\\u000d\\u0009\",");
    is_good("{\"id\":1,\"count\":\"\\u00e9\\u00A0\\u20AC\\ud83d\\ude00\"}",
            "\"count\":\"\xc3\xa9\xc2\xa0\xe2\x82\xac\xf0\x9f\x98\x80\",");
    is_good("{\"id\":1,\"count\":\"\xf0\x9f\x98\x80\"}", "\"count\":\"\xf0\x9f\x98\x80\",");
    is_good("{\"\\u0069d\":1}", "\"id\":1,");
}

static void
long_text_of_escapes_gets_the_length_that_it_has(void **state)
{
    (void)state;
    char json[2048] = "{\"id\":1,\"count\":\"";
    char row[1024] = "\"count\":\"";
    for (int i = 0; i < 100; i++) { /* 600 bytes posted, 100 in the record */
        strncat(json, "\\u0061", 7);
        strncat(row, "a", 2);
    }
    strncat(json, "\"}", 3);
    is_good(json, row);
}

static void
text_that_is_no_text_is_refused(void **state)
{
    (void)state;
    is_dead("{\"id\":1,\"count\":\"\\u0000\"}", DEAD(BAD_TEXT), "");
    is_dead("{\"id\":1,\"count\":\"\\ud83d\"}", DEAD(BAD_TEXT), "");
    is_dead("{\"id\":1,\"count\":\"\\ud83d\\u0061\"}", DEAD(BAD_TEXT), "");
    is_dead("{\"id\":1,\"count\":\"\\ude00\"}", DEAD(BAD_TEXT), "");
    is_dead("{\"id\":1,\"new\":\"\\ude00\"}", DEAD(BAD_TEXT), "");
    is_dead("{\"id\":1,\"count\":\"\xc3\"}", DEAD(NOT_UTF8), "");
    is_dead("{\"id\":1,\"count\":\"\xc0\xaf\"}", DEAD(NOT_UTF8), "");
    is_dead("{\"id\":1,\"count\":\"\xed\xa0\x80\"}", DEAD(NOT_UTF8), "");
    assert_string_equal(verdict.value, "\\xed\\xa0\\x80\"}");
    is_dead("{\"id\":1,\"count\":\"a\nb\"}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"count\":\"\\x\"}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"count\":\"\\u12\"}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"count\":\"abc", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"count\":\"abc\\", DEAD(NOT_JSON), "");
    assert_int_equal(check_bytes("{\"id\":1}\0", 9), 1);
    assert_int_equal(verdict.code, DEAD(NOT_JSON));
}

static void
length_is_counted_in_characters(void **state)
{
    (void)state;
    is_good("{\"id\":1,\"note\":\"12345\"}", "\"note\":\"12345\",");
    is_good("{\"id\":1,\"note\":\"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\"}",
            "\"note\":");
    is_dead("{\"id\":1,\"note\":\"123456\"}", DEAD(TOO_LONG), "note");
    assert_string_equal(verdict.reason, "note has 6 characters: 5 are the most, shorten it");
}

static void
pattern_must_match_the_whole_text(void **state)
{
    (void)state;
    is_good("{\"id\":1,\"code\":\"ABC\"}", "\"code\":\"ABC\",");
    is_good("{\"id\":1,\"code\":\"none\"}", "\"code\":\"none\",");
    is_dead("{\"id\":1,\"code\":\"ABCD\"}", DEAD(BAD_PATTERN), "code");
    is_dead("{\"id\":1,\"code\":\"xnone\"}", DEAD(BAD_PATTERN), "code");
    is_dead("{\"id\":1,\"code\":\"ABC\\n\"}", DEAD(BAD_PATTERN), "code");
}

static void
bytes_are_base64(void **state)
{
    (void)state;
    is_good("{\"id\":1,\"blob\":\"AP8=\"}", "\"blob\":\"AP8=\",");
    is_good("{\"id\":1,\"blob\":\"\\/\\/8=\"}", "\"blob\":\"//8=\",");
    is_dead("{\"id\":1,\"blob\":\"A\"}", DEAD(WRONG_TYPE), "blob");
}

/* ---- times ---- */

static void
each_spelling_of_a_time_is_the_same_moment(void **state)
{
    (void)state;
    static const char *const spellings[] = {
        "2017-10-19 15:13:42",       "2017-10-19T15:13:42",       "2017:10:19 15:13:42",
        "10/19/2017, 15:13:42",      "2017-10-19T15:13:42Z",      "2017-10-19 15:13:42.000000",
        "2017-10-19T17:13:42+02:00", "2017-10-19T09:43:42-05:30", "2017\\u002d10-19 15:13:42",
    };
    for (size_t i = 0; i < MR_COUNT(spellings); i++) {
        MR_CLEANUP(mr_freep)
        char *json = mr_printf("{\"id\":1,\"moment\":\"%s\"}", spellings[i]);
        is_good(json, "\"moment\":\"2017-10-19T15:13:42Z\",");
    }
    is_good("{\"id\":1,\"moment\":\"2020-02-29 23:59:59.5\"}",
            "\"moment\":\"2020-02-29T23:59:59.500000Z\",");
    is_good("{\"id\":1,\"moment\":\"1969-12-31 23:59:59.999999\"}",
            "\"moment\":\"1969-12-31T23:59:59.999999Z\",");
    is_good("{\"id\":1,\"moment\":\"0001-01-01 00:00:00\"}",
            "\"moment\":\"0001-01-01T00:00:00Z\",");
    is_good("{\"id\":1,\"moment\":\"9999-12-31 23:59:59\"}",
            "\"moment\":\"9999-12-31T23:59:59Z\",");
}

static void
times_that_do_not_exist_are_refused(void **state)
{
    (void)state;
    static const char *const spellings[] = {
        "",
        "2017-10-19",
        "2017-10-19 15:13",
        "2017-13-01 00:00:00",
        "2017-00-01 00:00:00",
        "2017-02-29 00:00:00",
        "1900-02-29 00:00:00",
        "2017-04-31 00:00:00",
        "2017-04-00 00:00:00",
        "2017-10-19 24:00:00",
        "2017-10-19 15:60:00",
        "2017-10-19 15:13:60",
        "0000-01-01 00:00:00",
        "0001-01-01 00:00:00+00:01",
        "9999-12-31 23:59:59-00:01",
        "2017-10-19 15:13:42.",
        "2017-10-19 15:13:42.1234567",
        "2017-10-19 15:13:42+2",
        "2017-10-19 15:13:42+24:00",
        "2017-10-19 15:13:42 UTC",
        " 2017-10-19 15:13:42",
        "10/19/2017 15:13:42",
        "19/10/2017, 15:13:42",
        "2017-1o-19 15:13:42",
        "2017-10-19 15:13:42.000000+02:00 and much more than any time would ever need",
    };
    for (size_t i = 0; i < MR_COUNT(spellings); i++) {
        MR_CLEANUP(mr_freep)
        char *json = mr_printf("{\"id\":1,\"moment\":\"%s\"}", spellings[i]);
        is_dead(json, DEAD(BAD_TIME), "moment");
    }
    is_dead("{\"id\":1,\"moment\":1508425}", DEAD(WRONG_TYPE), "moment");
}

/* ---- lists ---- */

static void
lists_hold_scalars(void **state)
{
    (void)state;
    is_good("{\"id\":1,\"words\":[\"a\",\"b\\u0063\"]}", "\"words\":[\"a\",\"bc\"],");
    is_good("{\"id\":1,\"numbers\":[ 1 , -1,300 ]}", "\"numbers\":[1,-1,300],");
    is_good("{\"id\":1,\"ratios\":[1.5,-2]}", "\"ratios\":[1.5,-2],");
    is_good("{\"id\":1,\"moments\":[\"1970-01-01 00:00:01\"]}",
            "\"moments\":[\"1970-01-01T00:00:01Z\"],");
    is_good("{\"id\":1,\"numbers\":[]}", "\"numbers\":null,");
    is_dead("{\"id\":1,\"numbers\":[1,\"x\"]}", DEAD(WRONG_TYPE), "numbers[1]");
    is_dead("{\"id\":1,\"words\":[\"a\",\"b\",\"c\",\"1234\"]}", DEAD(TOO_LONG), "words[3]");
    is_dead("{\"id\":1,\"numbers\":[null]}", DEAD(WRONG_TYPE), "numbers[0]");
    is_dead("{\"id\":1,\"numbers\":[[1]]}", DEAD(WRONG_TYPE), "numbers[0]");
    is_dead("{\"id\":1,\"numbers\":1}", DEAD(WRONG_TYPE), "numbers");
    is_dead("{\"id\":1,\"numbers\":[1,]}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"numbers\":[1 2]}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"numbers\":[1", DEAD(NOT_JSON), "");
}

static void
long_packed_list_keeps_every_element(void **state)
{
    (void)state;
    struct mr_buf json, row;
    mr_buf_init(&json, 1 << 16);
    mr_buf_init(&row, 1 << 16);
    mr_buf_text(&json, "{\"id\":1,\"numbers\":[");
    mr_buf_text(&row, "\"numbers\":[");
    for (int i = 0; i < 500; i++) {
        mr_buf_printf(&json, "%s%d", i > 0 ? "," : "", -i);
        mr_buf_printf(&row, "%s%d", i > 0 ? "," : "", -i);
    }
    mr_buf_text(&json, "],\"note\":\"z\"}");
    mr_buf_text(&row, "],");
    is_good(json.data, row.data);
    mr_buf_fini(&json);
    mr_buf_fini(&row);
}

/* ---- the object ---- */

static void
null_is_as_absent(void **state)
{
    (void)state;
    is_good("{\"note\":null,\"id\":1}", "\"note\":null,");
    is_dead("{\"id\":null}", DEAD(MISSING_FIELD), "id");
    is_dead("{}", DEAD(MISSING_FIELD), "id");
    assert_string_equal(verdict.rule, "required");
    assert_string_equal(verdict.reason, "id is missing or null: each thing must have it");
}

static void
field_is_taken_once_under_any_of_its_names(void **state)
{
    (void)state;
    is_good("{\"number\":7}", "\"id\":7,");
    is_dead("{\"id\":1,\"id\":1}", DEAD(DUPLICATE_FIELD), "id");
    is_dead("{\"id\":1,\"number\":1}", DEAD(DUPLICATE_FIELD), "number");
    is_dead("{\"id\":1,\"number\":null}", DEAD(DUPLICATE_FIELD), "number");
    is_dead("{\"number\":\"x\"}", DEAD(WRONG_TYPE), "number");
}

static void
fields_come_in_any_order_and_layout(void **state)
{
    (void)state;
    is_good(" \t\r\n{ \"count\" : \"a\" , \"small\":2 ,\n\"id\" : 1 } \n", "\"small\":2,");
    is_good("{\"words\":[\"x\"],\"numbers\":[1],\"ratio\":1,\"id\":3}", "\"ratio\":1,");
}

static void
unknown_fields_are_kept_as_posted(void **state)
{
    (void)state;
    is_good("{\"new\": {\"a\":[1,{}]} ,\"id\":1,\"x\\n\":\"\\u00e9\", \"rest\":2}",
            "\"rest\":\"{\\\"new\\\": {\\\"a\\\":[1,{}]},\\\"x\\\\n\\\":\\\"\\\\u00e9\\\","
            "\\\"rest\\\":2}\"}");
    is_dead("{\"id\":1,\"new\":[1,}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"new\":{\"a\" 1}}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"new\":[tru]}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"new\":nul}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"new\":[1}}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"new\":{1:2}}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"new\":-}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"new\":01}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"new\":1.e5}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1,\"new\":1e}", DEAD(NOT_JSON), "");
}

static void
broken_json_is_called_so_whatever_rule_it_broke_before(void **state)
{
    (void)state;
    is_dead("{\"id\":\"seven\",\"note\":", DEAD(NOT_JSON), "");
    is_dead("{\"id\":\"seven\"}]", DEAD(NOT_JSON), "");
    assert_string_equal(verdict.reason,
                        "byte 14: nothing may follow the value: send one event a record");
    is_dead("{\"id\":1,\"id\":1,}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1}{\"id\":2}", DEAD(NOT_JSON), "");
    is_dead("{\"id\":1", DEAD(NOT_JSON), "");
    is_dead("{\"id\"", DEAD(NOT_JSON), "");
    is_dead("{id:1}", DEAD(NOT_JSON), "");
    is_dead("{", DEAD(NOT_JSON), "");
    is_dead("\xef\xbb\xbf{\"id\":1}", DEAD(NOT_JSON), "");
    is_dead("   ", DEAD(NOT_JSON), "");
    is_dead("?", DEAD(NOT_JSON), "");
    is_dead("", DEAD(EMPTY), "");
    assert_int_equal(mr_contract_check(kind, mr_slice(NULL, 0), &record, &key, &verdict), 1);
    assert_int_equal(verdict.code, DEAD(EMPTY));
}

static void
nesting_ends_at_its_maximum(void **state)
{
    (void)state;
    char json[256];
    for (int depth = MR_JSON_DEPTH_MAX; depth <= MR_JSON_DEPTH_MAX + 1; depth++) {
        int inner = depth - 1; /* the object itself is the first */
        (void)snprintf(json, sizeof(json), "{\"id\":1,\"new\":%.*s%.*s}", inner,
                       "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", inner,
                       "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
        if (depth == MR_JSON_DEPTH_MAX)
            is_good(json, "\"id\":1,");
        else
            is_dead(json, DEAD(TOO_DEEP), "");
    }
}

/* ---- wrappings ---- */

static void
wrappings_are_taken_off(void **state)
{
    (void)state;
    is_good("[{\"id\":1}]", "\"id\":1,");
    is_good("\"{\\\"id\\\":1}\"", "\"id\":1,");
    is_good("{\"value\":{\"id\":1}}", "\"id\":1,");
    is_good("{\"key\":null,\"value\":{\"id\":1},\"partition\":0}", "\"id\":1,");
    is_good("{\"value\":\"{\\\"id\\\":1}\"}", "\"id\":1,");
    is_good("{\"value\":{\"value\":{\"value\":{\"id\":1}}}}", "\"id\":1,");
    is_good("\"\\\"{\\\\\\\"id\\\\\\\":1}\\\"\"", "\"id\":1,");
}

static void
fourth_wrapping_is_refused(void **state)
{
    (void)state;
    is_dead("{\"value\":{\"value\":{\"value\":{\"value\":{\"id\":1}}}}}", DEAD(NOT_ONE_OBJECT), "");
    is_dead("[{\"value\":{\"value\":[{\"id\":1}]}}]", DEAD(NOT_ONE_OBJECT), "");
}

static void
what_is_not_one_object_is_refused(void **state)
{
    (void)state;
    static const char *const values[] = {
        "[]",
        "[{\"id\":1},{\"id\":2}]",
        "[1]",
        "[[{\"id\":1}]]",
        "[\"{}\"]",
        "7",
        "true",
        "null",
        "\"hello\"",
        "\"\"",
        "\"7\"",
        "{\"value\":7}",
        "{\"value\":[]}",
    };
    for (size_t i = 0; i < MR_COUNT(values); i++)
        is_dead(values[i], DEAD(NOT_ONE_OBJECT), "");
    is_dead("\"{\\\"id\\\":\"", DEAD(NOT_JSON), "");
    is_dead("[{\"id\":1}", DEAD(NOT_JSON), "");
    is_dead("[{\"id\":1}]]", DEAD(NOT_JSON), "");
    is_dead("\"{\\\"id\\\":1}\" x", DEAD(NOT_JSON), "");
}

static void
value_beside_other_fields_is_an_ordinary_field(void **state)
{
    (void)state;
    is_good("{\"value\":{\"id\":2},\"id\":1}", "\"id\":1,");
    is_dead("{\"value\":{\"id\":2},\"value\":{\"id\":1}}", DEAD(MISSING_FIELD), "id");
}

/* ---- key, size, verdict ---- */

static void
key_is_the_same_text_however_the_number_is_spelled(void **state)
{
    (void)state;
    static const char *const spellings[] = { "7520", "\"7520\"", "7.52e3", "7520.0" };
    for (size_t i = 0; i < MR_COUNT(spellings); i++) {
        MR_CLEANUP(mr_freep) char *json = mr_printf("{\"id\":%s}", spellings[i]);
        assert_int_equal(check(json), 0);
        assert_string_equal(key.data, "7520");
    }
    assert_int_equal(check("{\"id\":-0}"), 0);
    assert_string_equal(key.data, "0");
    assert_int_equal(check("{\"id\":-12}"), 0);
    assert_string_equal(key.data, "-12");
}

static void
record_beyond_its_maximum_is_too_large(void **state)
{
    (void)state;
    /* 2 bytes for id; 15 for what may stand in front of count. */
    static const char digits[] = "01234567890123456789012345678901234567890123456789";
    struct mr_buf small;
    mr_buf_init(&small, 60);
    for (int length = 43; length <= 44; length++) {
        MR_CLEANUP(mr_freep)
        char *json = mr_printf("{\"id\":1,\"count\":\"%.*s\"}", length, digits);
        int dead = mr_contract_check(kind, mr_slice_text(json), &small, &key, &verdict);
        assert_int_equal(dead, length == 44);
    }
    assert_int_equal(verdict.code, DEAD(TOO_LARGE));
    assert_string_equal(verdict.field, "count");
    mr_buf_fini(&small);
}

static void
verdict_is_cut_to_its_bounds_between_characters(void **state)
{
    (void)state;
    struct mr_buf json;
    mr_buf_init(&json, 1 << 16);
    mr_buf_text(&json, "{\"id\":1,\"note\":\"");
    for (int i = 0; i < 200; i++)
        mr_buf_text(&json, "\xe2\x82\xac");
    mr_buf_text(&json, "\"}");
    is_dead(json.data, DEAD(TOO_LONG), "note");
    assert_int_equal(strlen(verdict.value), 64); /* a quote and 21 times 3 bytes */
    assert_true(mr_utf8_valid(mr_slice_text(verdict.value)));

    mr_buf_reset(&json);
    mr_buf_text(&json, "{\"");
    for (int i = 0; i < 200; i++)
        mr_buf_text(&json, "\xe2\x82\xac");
    mr_buf_text(&json, "\":1,\"id\":[\x01]}");
    assert_int_equal(check(json.data), 1);
    assert_string_equal(verdict.value, "\\x01]}");
    mr_buf_fini(&json);
}

static int
open_kind(void **state)
{
    (void)state;
    contracts = open_full_thing();
    kind = mr_contracts_find(contracts, "thing");
    mr_buf_init(&record, 1 << 20);
    mr_buf_init(&key, 1 << 20);
    return 0;
}

static int
close_kind(void **state)
{
    (void)state;
    mr_contracts_close(contracts);
    mr_buf_fini(&record);
    mr_buf_fini(&key);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_are_exact_to_the_last_one),
        cmocka_unit_test(whole_numbers_may_be_spelled_with_point_and_e),
        cmocka_unit_test(decimals_are_the_nearest_double),
        cmocka_unit_test(numbers_keep_their_bounds),
        cmocka_unit_test(numbers_come_as_text_only_where_the_kind_says_so),
        cmocka_unit_test(escapes_become_the_characters_they_mean),
        cmocka_unit_test(long_text_of_escapes_gets_the_length_that_it_has),
        cmocka_unit_test(text_that_is_no_text_is_refused),
        cmocka_unit_test(length_is_counted_in_characters),
        cmocka_unit_test(pattern_must_match_the_whole_text),
        cmocka_unit_test(bytes_are_base64),
        cmocka_unit_test(each_spelling_of_a_time_is_the_same_moment),
        cmocka_unit_test(times_that_do_not_exist_are_refused),
        cmocka_unit_test(lists_hold_scalars),
        cmocka_unit_test(long_packed_list_keeps_every_element),
        cmocka_unit_test(null_is_as_absent),
        cmocka_unit_test(field_is_taken_once_under_any_of_its_names),
        cmocka_unit_test(fields_come_in_any_order_and_layout),
        cmocka_unit_test(unknown_fields_are_kept_as_posted),
        cmocka_unit_test(broken_json_is_called_so_whatever_rule_it_broke_before),
        cmocka_unit_test(nesting_ends_at_its_maximum),
        cmocka_unit_test(wrappings_are_taken_off),
        cmocka_unit_test(fourth_wrapping_is_refused),
        cmocka_unit_test(what_is_not_one_object_is_refused),
        cmocka_unit_test(value_beside_other_fields_is_an_ordinary_field),
        cmocka_unit_test(key_is_the_same_text_however_the_number_is_spelled),
        cmocka_unit_test(record_beyond_its_maximum_is_too_large),
        cmocka_unit_test(verdict_is_cut_to_its_bounds_between_characters),
    };
    return cmocka_run_group_tests(tests, open_kind, close_kind);
}
