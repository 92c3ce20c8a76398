#include "contract_kind.h"
#include "millrace/v1/event.pb-c.h"

/* A thing with little, to vary. */
#define SMALL(version, fields, clean_fields)                                                       \
    THING_HEAD "message Thing { " THING_OPTIONS("key: \"id\" unknown_fields: DROP "                \
                                                "version: " version) "optional int64 id = "        \
                                                                     "1" FIELD("required: true")   \
                                                                         fields                    \
        "}\nmessage CleanThing { optional int64 id = 1; " clean_fields "}\n"

static struct mr_contracts *
opened(const char *proto, const char *sql)
{
    struct mr_contracts *contracts = NULL;
    struct mr_err err = { 0 };
    if (open_thing(proto, sql, &contracts, &err) != 0)
        fail_msg("%s", err.text);
    return contracts;
}

static void
is_refused(const char *proto, const char *text)
{
    struct mr_contracts *contracts = NULL;
    struct mr_err err = { 0 };
    assert_true(open_thing(proto, "SELECT 1", &contracts, &err) < 0);
    assert_null(contracts);
    if (strstr(err.text, text) == NULL)
        fail_msg("%s instead of %s", err.text, text);
    assert_int_equal(strncmp(err.text, "kind thing: ", 12), 0);
}

/* ---- open ---- */

static void
kind_says_its_columns_key_and_sql(void **state)
{
    (void)state;
    static const struct mr_field fields[] = {
        { "id", MR_TYPE_LONG, false },       { "note", MR_TYPE_STRING, false },
        { "ratios", MR_TYPE_DOUBLE, true },  { "fine", MR_TYPE_BOOL, false },
        { "words", MR_TYPE_STRING, true },   { "moment", MR_TYPE_TIMESTAMP, false },
        { "small", MR_TYPE_INTEGER, false },
    };
    const struct mr_schema output = { (struct mr_field *)fields, MR_COUNT(fields) };
    struct mr_contracts *contracts = open_full_thing();

    assert_int_equal(mr_contracts_count(contracts), 1);
    const struct mr_kind *kind = mr_contracts_find(contracts, "thing");
    assert_ptr_equal(kind, mr_contracts_at(contracts, 0));
    assert_null(mr_contracts_find(contracts, "other"));
    assert_string_equal(kind->name, "thing");
    assert_string_equal(kind->clean_sql,
                        "SELECT id, note, ratios, fine, words, moment, small FROM thing\n");
    assert_int_equal(kind->version, 1);
    assert_int_equal(kind->duplicates, MR_KEEP_FIRST);
    assert_int_equal(kind->key_in, 0);
    assert_int_equal(kind->key_out, 0);
    assert_int_equal(kind->input.count, 14);
    assert_int_equal(kind->input.fields[8].type, MR_TYPE_BINARY);
    assert_true(mr_schema_is(&kind->output, &output));
    mr_contracts_close(contracts);
}

static void
kinds_of_the_project_open(void **state)
{
    (void)state;
    struct mr_contracts *contracts = NULL;
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_freep) char *dir = mr_printf("%s/kinds", getenv("MILLRACE_BUILD"));
    if (mr_contracts_open(dir, &contracts, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(mr_contracts_count(contracts), 3);
    assert_string_equal(mr_contracts_at(contracts, 0)->name, "geo");
    assert_string_equal(mr_contracts_at(contracts, 1)->name, "pin");
    assert_string_equal(mr_contracts_at(contracts, 2)->name, "user");
    mr_contracts_close(contracts);
}

static void
what_nobody_would_obey_is_refused_at_open(void **state)
{
    (void)state;
    is_refused(SMALL("1", "optional float x = 2;", ""), "field x: its type is not taken");
    is_refused(SMALL("1", "optional Thing x = 2;", ""), "field x: its type is not taken");
    is_refused(SMALL("1", "string x = 2;", ""), "field x: write optional in front");
    is_refused(SMALL("1", "oneof y { string x = 2; }", ""), "field x: oneof is not taken");
    is_refused(SMALL("1", "optional string x = 2" FIELD("min: 1"), ""),
               "field x: min means nothing");
    is_refused(SMALL("1", "optional bool x = 2" FIELD("number_or_text: true"), ""),
               "field x: number_or_text means nothing");
    is_refused(SMALL("1", "optional int64 x = 2" FIELD("max_length: 1"), ""),
               "field x: max_length means nothing");
    is_refused(SMALL("1", "optional string x = 2" FIELD("time: ANY_TIME"), ""),
               "field x: a time must be an int64");
    is_refused(SMALL("1", "optional string x = 2" FIELD("pattern: \"(\""), ""),
               "field x: pattern \"(\"");
    is_refused(SMALL("1", "optional string x = 2" FIELD("alias: \"id\""), ""),
               "field x: name or alias \"id\" is empty or taken");
    is_refused(SMALL("1", "", "optional string x = 2" FIELD("required: true")),
               "field x of the output: only time");
    is_refused(SMALL("0", "", ""), "version must be 1 or more");
}

static void
kind_option_must_fit(void **state)
{
    (void)state;
#define VARIANT(options, field)                                                                    \
    THING_HEAD "message Thing { option (millrace.v1.kind) = { " options " };\n optional " field    \
               "}\nmessage CleanThing { optional int64 id = 1; optional string x = 2; }\n"
    is_refused(THING_HEAD "message Thing { optional int64 id = 1; }", "no message has option");
    is_refused(VARIANT("name: \"other\"", "int64 id = 1;"), "it must be the folder's name");
    is_refused(VARIANT("name: \"thing\" version: 1", "int64 id = 1;"), "option output must name");
    is_refused(VARIANT("name: \"thing\" output: \"Thing\" version: 1", "int64 id = 1;"),
               "output Thing is no other message");
    is_refused(VARIANT("name: \"thing\" output: \"CleanThing\" version: 1", "int64 id = 1;"),
               "KEEP_FIRST needs a key");
    is_refused(
        VARIANT("name: \"thing\" output: \"CleanThing\" version: 1 key: \"no\"", "int64 id = 1;"),
        "key no is no field of the input");
    is_refused(VARIANT("name: \"thing\" output: \"CleanThing\" version: 1 key: \"id\" key_out: "
                       "\"no\"",
                       "int64 id = 1;"),
               "key no is no field of the output");
    is_refused(VARIANT("name: \"thing\" output: \"CleanThing\" version: 1 key: \"id\" key_out: "
                       "\"x\"",
                       "int64 id = 1" FIELD("required: true")),
               "the same in the output");
    is_refused(
        VARIANT("name: \"thing\" output: \"CleanThing\" version: 1 key: \"id\"", "int64 id = 1;"),
        "key id must say required");
    is_refused(VARIANT("name: \"thing\" output: \"CleanThing\" version: 1 duplicates: KEEP_ALL "
                       "unknown_fields: KEEP",
                       "int64 id = 1;"),
               "KEEP and unknown_in go together");
    is_refused(VARIANT("name: \"thing\" output: \"CleanThing\" version: 1 duplicates: KEEP_ALL "
                       "unknown_fields: KEEP unknown_in: \"id\"",
                       "int64 id = 1;"),
               "unknown_in id must be a string");
#undef VARIANT
}

static void
folder_that_holds_no_kinds_is_refused(void **state)
{
    (void)state;
    char dir[64] = "/tmp/millrace-contract-XXXXXX", path[256];
    struct mr_contracts *contracts = NULL;
    struct mr_err err = { 0 }, missing = { 0 }, damaged = { 0 }, name = { 0 };
    assert_non_null(mkdtemp(dir));

    assert_true(mr_contracts_open("/nowhere/kinds", &contracts, &missing) < 0);
    assert_non_null(strstr(missing.text, "/nowhere/kinds cannot be read"));
    assert_true(mr_contracts_open(dir, &contracts, &err) < 0);
    assert_non_null(strstr(err.text, "holds no kind"));
    (void)snprintf(path, sizeof(path), "%s/thing", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    err = (struct mr_err){ 0 };
    assert_true(mr_contracts_open(dir, &contracts, &err) < 0);
    assert_non_null(strstr(err.text, "run tools/kinds"));
    (void)snprintf(path, sizeof(path), "%s/thing/thing.binpb", dir);
    write_text(path, "\x07 no descriptor");
    (void)snprintf(path, sizeof(path), "%s/thing/clean.sql", dir);
    write_text(path, "SELECT 1");
    assert_true(mr_contracts_open(dir, &contracts, &damaged) < 0);
    assert_non_null(strstr(damaged.text, "kind thing: its .binpb is no descriptor set"));
    (void)snprintf(path, sizeof(path), "%s/dead", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(mr_contracts_open(dir, &contracts, &name) < 0);
    assert_non_null(strstr(name.text, "not valid clean dead table"));
    remove_thing(dir);
}

/* ---- unknown fields, keys ---- */

static int
check(const struct mr_contracts *contracts, const char *json, char ret_key[32],
      struct mr_verdict *verdict)
{
    struct mr_buf record, key;
    mr_buf_init(&record, 1 << 16);
    mr_buf_init(&key, 1 << 16);
    int dead = mr_contract_check(mr_contracts_at(contracts, 0), mr_slice_text(json), &record, &key,
                                 verdict);
    (void)snprintf(ret_key, 32, "%s", key.size > 0 ? key.data : "");
    mr_buf_fini(&record);
    mr_buf_fini(&key);
    return dead;
}

static void
unknown_fields_are_refused_or_dropped_as_the_kind_says(void **state)
{
    (void)state;
    struct mr_verdict verdict;
    char key[32];
    struct mr_contracts *drops = opened(SMALL("1", "", ""), "SELECT 1");
    assert_int_equal(check(drops, "{\"id\":1,\"new\":[]}", key, &verdict), 0);
    mr_contracts_close(drops);

    struct mr_contracts *rejects = opened(
        THING_HEAD "message Thing {" THING_OPTIONS(
            "duplicates: KEEP_ALL version: 1") "optional string id = 1; }\n"
                                               "message CleanThing { optional int64 id = 1; }",
        "SELECT 1");
    assert_int_equal(check(rejects, "{\"id\":\"a\"}", key, &verdict), 0);
    assert_string_equal(key, "");
    assert_int_equal(check(rejects, "{\"id\":\"a\",\"new\":[1]}", key, &verdict), 1);
    assert_string_equal(verdict.field, "new");
    assert_string_equal(verdict.value, "[1]");
    assert_string_equal(verdict.reason,
                        "new is no field of kind thing: leave it out or correct its name");
    mr_contracts_close(rejects);
}

static void
text_and_times_can_be_keys_but_not_empty_ones(void **state)
{
    (void)state;
    struct mr_verdict verdict;
    char key[32];
    struct mr_contracts *text = opened(
        THING_HEAD
        "message Thing {" THING_OPTIONS("key: \"id\" version: 1") "optional string id = 1" FIELD(
            "required: true") "}\n"
                              "message CleanThing { optional string id = 1; }",
        "SELECT 1");
    assert_int_equal(check(text, "{\"id\":\"a\\u00e9\"}", key, &verdict), 0);
    assert_string_equal(key, "a\xc3\xa9");
    assert_int_equal(check(text, "{\"id\":\"\"}", key, &verdict), 1);
    assert_string_equal(verdict.reason, "id is the key and may not be empty: send it");
    mr_contracts_close(text);

    struct mr_contracts *time = opened(
        THING_HEAD
        "message Thing {" THING_OPTIONS("key: \"id\" version: 1") "optional int64 id = 1" FIELD(
            "required: true time: ANY_TIME") "}\nmessage CleanThing { optional int64 id = "
                                             "1" FIELD("time: ANY_TIME") "}",
        "SELECT 1");
    assert_int_equal(check(time, "{\"id\":\"1970-01-01 00:00:01\"}", key, &verdict), 0);
    assert_string_equal(key, "1000000");
    mr_contracts_close(time);
}

/* ---- rows ---- */

static void
row_survives_the_way_through_a_message(void **state)
{
    (void)state;
    struct mr_contracts *contracts = open_full_thing();
    const struct mr_kind *kind = mr_contracts_at(contracts, 0);
    struct mr_columns *from = mr_columns_new(&kind->output), *to = mr_columns_new(&kind->output);
    struct mr_err err = { 0 };
    struct mr_buf record, before, after;
    mr_buf_init(&record, 1 << 16);
    mr_buf_init(&before, 1 << 16);
    mr_buf_init(&after, 1 << 16);

    mr_columns_int(from, 0, INT64_MIN);
    mr_columns_text(from, 1, MR_SLICE("\xe2\x82\xac \"x\""));
    mr_column_put_double(mr_columns_list(from, 2), 0.1);
    mr_columns_bool(from, 3, false);
    struct mr_column *words = mr_columns_list(from, 4);
    mr_column_put_text(words, MR_SLICE("a"));
    mr_column_put_text(words, MR_SLICE(""));
    mr_columns_int(from, 5, -1);
    mr_columns_int(from, 6, -7);
    mr_columns_end_row(from);
    mr_columns_end_row(from); /* all NULL */
    for (size_t row = 0; row < 2; row++) {
        mr_buf_reset(&record);
        assert_int_equal(mr_contract_encode(kind, from, row, &record, &err), 0);
        assert_int_equal(mr_contract_decode(kind, MR_OUTPUT, mr_buf_slice(&record), to, &err), 0);
        mr_contract_json(&kind->output, from, row, &before);
        mr_contract_json(&kind->output, to, row, &after);
    }
    assert_string_equal(before.data,
                        "{\"id\":-9223372036854775808,\"note\":\"\xe2\x82\xac \\\"x\\\"\","
                        "\"ratios\":[0.1],\"fine\":false,\"words\":[\"a\",\"\"],"
                        "\"moment\":\"1969-12-31T23:59:59.999999Z\",\"small\":-7}"
                        "{\"id\":null,\"note\":null,\"ratios\":null,\"fine\":null,\"words\":null,"
                        "\"moment\":null,\"small\":null}");
    assert_string_equal(before.data, after.data);
    assert_int_equal(record.size, 0);
    mr_columns_free(from);
    mr_columns_free(to);
    mr_buf_fini(&record);
    mr_buf_fini(&before);
    mr_buf_fini(&after);
    mr_contracts_close(contracts);
}

static void
list_with_a_null_in_it_cannot_be_encoded(void **state)
{
    (void)state;
    struct mr_contracts *contracts = open_full_thing();
    const struct mr_kind *kind = mr_contracts_at(contracts, 0);
    struct mr_columns *from = mr_columns_new(&kind->output);
    struct mr_err err = { 0 };
    struct mr_buf record;
    mr_buf_init(&record, 1 << 16);

    struct mr_column *ratios = mr_columns_list(from, 2);
    mr_column_put_double(ratios, 1);
    mr_column_put_null(ratios);
    mr_columns_end_row(from);
    assert_int_equal(mr_contract_encode(kind, from, 0, &record, &err), MR_E(INVALID));
    assert_non_null(strstr(err.text, "ratios[1] is NULL"));
    mr_columns_free(from);
    mr_buf_fini(&record);
    mr_contracts_close(contracts);
}

static void
encoded_row_beyond_the_maximum_is_too_large(void **state)
{
    (void)state;
    struct mr_contracts *contracts = open_full_thing();
    const struct mr_kind *kind = mr_contracts_at(contracts, 0);
    struct mr_columns *from = mr_columns_new(&kind->output);
    struct mr_err err = { 0 };
    struct mr_buf record;

    mr_columns_text(from, 1, MR_SLICE("12345678"));
    mr_columns_end_row(from);
    mr_buf_init(&record, 10); /* tag, length, 8 bytes */
    assert_int_equal(mr_contract_encode(kind, from, 0, &record, &err), 0);
    mr_buf_fini(&record);
    mr_buf_init(&record, 9);
    assert_int_equal(mr_contract_encode(kind, from, 0, &record, &err), MR_E(TOO_LARGE));
    mr_buf_fini(&record);
    mr_columns_free(from);
    mr_contracts_close(contracts);
}

static void
damaged_record_leaves_the_columns_as_they_were(void **state)
{
    (void)state;
    static const struct mr_slice records[] = {
        MR_SLICE("\x08"),                                             /* no value */
        MR_SLICE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* no end of a varint */
        MR_SLICE("\x12\x05"
                 "abc"),          /* text longer than the record */
        MR_SLICE("\x12\x01\xff"), /* no UTF-8 */
        MR_SLICE("\x10\x01"),     /* a number for a text */
        MR_SLICE("\x1a\x07"
                 "1234567"),                  /* packed doubles, one byte short */
        MR_SLICE("\x38\x80\x80\x80\x80\x10"), /* beyond 32 bits */
        MR_SLICE("\x0b"),                     /* a group */
        MR_SLICE("\x00\x00"),                 /* field 0 */
    };
    struct mr_contracts *contracts = open_full_thing();
    const struct mr_kind *kind = mr_contracts_at(contracts, 0);
    struct mr_columns *to = mr_columns_new(&kind->output);
    for (size_t i = 0; i < MR_COUNT(records); i++) {
        struct mr_err err = { 0 };
        if (mr_contract_decode(kind, MR_OUTPUT, records[i], to, &err) != MR_E(CORRUPT))
            fail_msg("record %zu was taken", i);
        assert_int_equal(to->rows, 0);
    }
    mr_columns_free(to);
    mr_contracts_close(contracts);
}

static void
message_of_another_writer_is_read_by_the_rules_of_protobuf(void **state)
{
    (void)state;
    /* id twice: the last counts; ratios packed, empty, not packed; field 100 is of nobody. */
    static const char record[] = "\x08\x01\x1a\x08\0\0\0\0\0\0\xf0\x3f\x1a\0\x19\0\0\0\0\0\0\0\x40"
                                 "\xa2\x06\x01x\x08\x02";
    struct mr_contracts *contracts = open_full_thing();
    const struct mr_kind *kind = mr_contracts_at(contracts, 0);
    struct mr_columns *to = mr_columns_new(&kind->output);
    struct mr_err err = { 0 };
    struct mr_buf json;
    mr_buf_init(&json, 1 << 16);

    assert_int_equal(
        mr_contract_decode(kind, MR_OUTPUT, mr_slice(record, sizeof(record) - 1), to, &err), 0);
    mr_contract_json(&kind->output, to, 0, &json);
    assert_non_null(strstr(json.data, "{\"id\":2,\"note\":null,\"ratios\":[1,2],"));
    mr_columns_free(to);
    mr_buf_fini(&json);
    mr_contracts_close(contracts);
}

/* ---- reload ---- */

static void
is_compatible(const char *now, const char *next, const char *text)
{
    struct mr_contracts *a = opened(now, "SELECT 1"), *b = opened(next, "SELECT 1");
    struct mr_err err = { 0 };
    int code = mr_contracts_compatible(a, b, &err);
    if (text == NULL ? code != 0 : code == 0 || strcmp(err.text, text) != 0)
        fail_msg("%d: %s", code, err.text);
    mr_contracts_close(a);
    mr_contracts_close(b);
}

static void
reload_may_add_and_nothing_else(void **state)
{
    (void)state;
    static const char now[] = SMALL("2", "optional string x = 2;", "optional string x = 2;");
    is_compatible(now, now, NULL);
    is_compatible(now,
                  SMALL("3", "optional string x = 2; optional bool y = 3;",
                        "optional string x = 2; repeated double y = 3;"),
                  NULL);
    is_compatible(now, SMALL("3", "", "optional string x = 2;"),
                  "kind thing: input: field x was removed: keep it");
    is_compatible(now, SMALL("3", "optional string x = 2;", ""),
                  "kind thing: output: field x was removed: keep it");
    is_compatible(now, SMALL("3", "optional string x = 3;", "optional string x = 2;"),
                  "kind thing: input: field x: its number 2 became 3: give it back");
    is_compatible(now, SMALL("3", "optional int64 x = 2;", "optional string x = 2;"),
                  "kind thing: input: field x: its type changed: add a new field instead");
    is_compatible(now, SMALL("3", "repeated string x = 2;", "optional string x = 2;"),
                  "kind thing: input: field x: its type changed: add a new field instead");
    is_compatible(
        now, SMALL("2", "optional string x = 2" FIELD("max_length: 7"), "optional string x = 2;"),
        "kind thing: it changed but version stayed 2: raise it with every change");
    is_compatible(now, SMALL("1", "optional string x = 2;", "optional string x = 2;"),
                  "kind thing: version went back from 2 to 1");
}

static void
reload_sees_a_changed_rule_and_a_changed_key(void **state)
{
    (void)state;
    static const char now[] = SMALL("1", "", "");
    struct mr_contracts *a = opened(now, "SELECT 1"), *b = opened(now, "SELECT 2");
    struct mr_err err = { 0 };
    assert_true(mr_contracts_compatible(a, b, &err) < 0);
    assert_non_null(strstr(err.text, "raise it with every change"));
    assert_int_equal(err.remedy, MR_REJECT);
    mr_contracts_close(a);
    mr_contracts_close(b);
    is_compatible(
        now,
        THING_HEAD "message Thing { " THING_OPTIONS(
            "duplicates: KEEP_ALL unknown_fields: DROP "
            "version: 2") "optional int64 id = 1" FIELD("required: true") "}\n"
                                                                          "message CleanThing { "
                                                                          "optional int64 id = 1; "
                                                                          "}",
        "kind thing: its key id changed: make a new kind instead");
}

/* ---- reference ---- */

static void
reference_says_what_is_taken(void **state)
{
    (void)state;
    struct mr_contracts *contracts = open_full_thing();
    struct mr_buf page;
    mr_buf_init(&page, 1 << 16);
    mr_contract_reference(mr_contracts_at(contracts, 0), &page);
    static const char *const parts[] = {
        "## Contract of thing, version 1\n",
        "| `id` | whole number | required; also named `number`; may come as text |\n",
        "| `small` | whole number, 32 bits | at least -5; at most 100 |\n",
        "| `code` | text | looks like `[A-Z]{3}\\|none` |\n",
        "| `words` | list of: text | at most 3 characters |\n",
        "kept, as one JSON object in column `rest`",
        "| `ratios` | array&lt;double&gt; |\n",
        "Key: `id` (posted as `id`); of equal keys the first stays",
        "```sql\nSELECT id, note, ratios, fine, words, moment, small FROM thing\n```\n",
    };
    for (size_t i = 0; i < MR_COUNT(parts); i++)
        if (strstr(page.data, parts[i]) == NULL)
            fail_msg("no %s in %s", parts[i], page.data);
    mr_buf_fini(&page);
    mr_contracts_close(contracts);
}

static void
key_beyond_its_maximum_is_too_large(void **state)
{
    (void)state;
    char dir[64];
    MR_CLEANUP(mr_contracts_closep) struct mr_contracts *texts = NULL;
    struct mr_buf record, small;
    struct mr_verdict verdict = { 0 };
    struct mr_err err = { 0 };
    make_thing(
        THING_HEAD "message Thing {\n" THING_OPTIONS(
            "key: \"word\" version: 1") "optional string word = 1" FIELD("required: true") "}\n"
                                                                                           "message"
                                                                                           " CleanT"
                                                                                           "hing { "
                                                                                           "optiona"
                                                                                           "l "
                                                                                           "string "
                                                                                           "word = "
                                                                                           "1; }\n",
        "SELECT word FROM thing", dir);
    MR_CLEANUP(mr_freep) char *kinds = mr_printf("%s/kinds", dir);
    MR_CLEANUP(mr_freep) char *remove = mr_printf("rm -r %s", dir);
    assert_int_equal(mr_contracts_open(kinds, &texts, &err), 0);
    const struct mr_kind *worded = mr_contracts_find(texts, "thing");
    mr_buf_init(&record, 100);
    mr_buf_init(&small, 3);
    for (int length = 3; length <= 4; length++) {
        MR_CLEANUP(mr_freep) char *json = mr_printf("{\"word\":\"%.*s\"}", length, "abcd");
        int dead = mr_contract_check(worded, mr_slice_text(json), &record, &small, &verdict);
        assert_int_equal(dead, length == 4);
    }
    assert_int_equal(verdict.code, MILLRACE__V1__DEAD_CODE__TOO_LARGE);
    assert_string_equal(verdict.field, "word");
    mr_buf_fini(&record);
    mr_buf_fini(&small);
    assert_int_equal(system(remove), 0);
}

/* A text of the SQL engine may be longer than a reason, and end in the middle of a character. */
static void
reason_is_cut_between_characters(void **state)
{
    (void)state;
    for (int before = 0; before < 3; before++) {
        struct mr_verdict verdict;
        MR_CLEANUP(mr_buf_fini) struct mr_buf text;
        mr_buf_init(&text, 1 << 12);
        mr_buf_printf(&text, "%.*s", before, "abc");
        while (text.size < 1000)
            mr_buf_text(&text, "\u20ac");
        mr_verdict_say(&verdict, text.data);
        assert_true(strlen(verdict.reason) > sizeof(verdict.reason) - 4);
        assert_true(mr_utf8_valid(mr_slice_text(verdict.reason)));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kind_says_its_columns_key_and_sql),
        cmocka_unit_test(kinds_of_the_project_open),
        cmocka_unit_test(what_nobody_would_obey_is_refused_at_open),
        cmocka_unit_test(kind_option_must_fit),
        cmocka_unit_test(folder_that_holds_no_kinds_is_refused),
        cmocka_unit_test(unknown_fields_are_refused_or_dropped_as_the_kind_says),
        cmocka_unit_test(text_and_times_can_be_keys_but_not_empty_ones),
        cmocka_unit_test(row_survives_the_way_through_a_message),
        cmocka_unit_test(list_with_a_null_in_it_cannot_be_encoded),
        cmocka_unit_test(encoded_row_beyond_the_maximum_is_too_large),
        cmocka_unit_test(damaged_record_leaves_the_columns_as_they_were),
        cmocka_unit_test(message_of_another_writer_is_read_by_the_rules_of_protobuf),
        cmocka_unit_test(reload_may_add_and_nothing_else),
        cmocka_unit_test(reload_sees_a_changed_rule_and_a_changed_key),
        cmocka_unit_test(reference_says_what_is_taken),
        cmocka_unit_test(key_beyond_its_maximum_is_too_large),
        cmocka_unit_test(reason_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
