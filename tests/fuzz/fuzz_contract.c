/*
 * The transcoder against jansson: both must agree on what is JSON and what is one object, and the
 * values that come out of the message must be those that jansson reads. The same bytes are then
 * tried as a packed message.
 */
#include "contract/contract.h"

#include <jansson.h>
#include <millrace/v1/event.pb-c.h>
#include <stdio.h>
#include <stdlib.h>

#define DEAD(code) MILLRACE__V1__DEAD_CODE__##code

enum { BYTES_MAX = 1 << 20, LEVELS_MAX = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- what jansson says ---- */

enum outcome {
    BROKEN,
    CANNOT_TELL, /* numbers beyond its range, names sent twice, too deep for one of both */
    NO_OBJECT,
    OBJECT,
};

static enum outcome
parse(const char *text, size_t size, json_t **ret)
{
    json_error_t error;
    *ret = NULL;
    if (memchr(text, '\0', size) != NULL)
        return BROKEN; /* jansson takes a NUL for the end */
    *ret = json_loadb(text, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (*ret != NULL)
        return OBJECT;
    enum json_error_code code = json_error_code(&error);
    return code == json_error_numeric_overflow || code == json_error_duplicate_key ||
                   code == json_error_stack_overflow
               ? CANNOT_TELL
               : BROKEN;
}

/* Value of {"value": ..} with nothing but a key and a partition beside it; borrowed. */
static json_t *
record_value(json_t *json)
{
    size_t known = (json_object_get(json, "value") != NULL) +
                   (json_object_get(json, "key") != NULL) +
                   (json_object_get(json, "partition") != NULL);
    return json_object_size(json) == known ? json_object_get(json, "value") : NULL;
}

static bool
may_be_json(const char *text)
{
    text += strspn(text, " \t\r\n");
    return *text == '{' || *text == '[' || *text == '"';
}

/* Takes one wrapping off *json. False: there is none; *ret_outcome says what stands there. */
static bool
unwrap(json_t **json, enum outcome *ret_outcome)
{
    json_t *outer = *json, *inner = NULL;
    *ret_outcome = NO_OBJECT;
    if (json_is_object(outer)) {
        inner = record_value(outer);
        *ret_outcome = OBJECT;
    } else if (json_is_array(outer)) {
        inner = json_array_size(outer) == 1 ? json_array_get(outer, 0) : NULL;
        inner = json_is_object(inner) ? inner : NULL;
    } else if (json_is_string(outer) && may_be_json(json_string_value(outer))) {
        *ret_outcome = parse(json_string_value(outer), json_string_length(outer), json);
        json_decref(outer);
        return *ret_outcome == OBJECT;
    }
    if (inner == NULL)
        return false;
    *json = json_incref(inner);
    json_decref(outer);
    return true;
}

static enum outcome
judge(const char *text, size_t size, json_t **ret)
{
    enum outcome outcome = parse(text, size, ret);
    if (outcome != OBJECT)
        return outcome;
    for (int level = 0; unwrap(ret, &outcome); level++)
        if (level == LEVELS_MAX)
            return NO_OBJECT;
    return outcome;
}

/* ---- the same values? ---- */

static void
demand(bool fine, const char *what, const char *name)
{
    if (fine)
        return;
    (void)fprintf(stderr, "field %s: %s\n", name, what);
    abort();
}

static double
number_of(const json_t *json)
{
    return json_is_string(json) ? strtod(json_string_value(json), NULL) : json_number_value(json);
}

static void
compare_value(const struct mr_column *column, size_t row, const json_t *json, const char *name)
{
    switch (column->field.type) {
    case MR_TYPE_LONG:
    case MR_TYPE_INTEGER:
        if (json_is_integer(json))
            demand(mr_column_int(column, row) == json_integer_value(json), "integer", name);
        else
            demand((double)mr_column_int(column, row) == number_of(json), "whole number", name);
        return;
    case MR_TYPE_DOUBLE:
        demand(mr_column_double(column, row) == number_of(json), "number", name);
        return;
    case MR_TYPE_BOOL:
        demand(mr_column_int(column, row) == json_is_true(json), "bool", name);
        return;
    case MR_TYPE_STRING:
        if (json_is_string(json))
            demand(mr_slice_is(mr_column_text(column, row),
                               mr_slice(json_string_value(json), json_string_length(json))),
                   "text", name);
        return;
    default:
        demand(json_is_string(json), "time or bytes", name);
    }
}

static void
compare_column(const struct mr_column *column, const json_t *json)
{
    const char *name = column->field.name;
    size_t from, end;
    bool absent =
        json == NULL || json_is_null(json) || (json_is_array(json) && json_array_size(json) == 0);
    demand(mr_column_is_null(column, 0) == absent, "NULL", name);
    if (absent)
        return;
    if (column->child == NULL) {
        compare_value(column, 0, json, name);
        return;
    }
    mr_column_list(column, 0, &from, &end);
    demand(end - from == json_array_size(json), "length", name);
    for (size_t i = from; i < end; i++)
        compare_value(column->child, i, json_array_get(json, i - from), name);
}

static void
compare(const struct mr_kind *kind, struct mr_slice record, const json_t *json)
{
    struct mr_columns *row = mr_columns_new(&kind->input);
    struct mr_err err = { 0 };
    demand(mr_contract_decode(kind, MR_INPUT, record, row, &err) == 0, err.text, "record");
    for (size_t i = 0; i < kind->input.count; i++) {
        const struct mr_column *column = &row->columns[i];
        const json_t *value = json_object_get(json, column->field.name);
        if (value == NULL && strcmp(column->field.name, "id") == 0)
            value = json_object_get(json, "number");
        if (strcmp(column->field.name, "rest") != 0)
            compare_column(column, value);
    }
    mr_columns_free(row);
}

/* ---- both ways ---- */

static bool
is_syntax(int code)
{
    return code == DEAD(NOT_JSON) || code == DEAD(NOT_UTF8) || code == DEAD(BAD_TEXT) ||
           code == DEAD(EMPTY);
}

static void
fuzz_check(const struct mr_kind *kind, struct mr_slice value)
{
    struct mr_buf record, key;
    struct mr_verdict verdict = { 0 };
    json_t *json = NULL;
    mr_buf_init(&record, BYTES_MAX);
    mr_buf_init(&key, BYTES_MAX);
    int dead = mr_contract_check(kind, value, &record, &key, &verdict);
    enum outcome outcome = judge(value.data, value.size, &json);

    if (dead != 0) {
        demand(mr_utf8_valid(mr_slice_text(verdict.field)), "field", verdict.reason);
        demand(mr_utf8_valid(mr_slice_text(verdict.value)), "value", verdict.reason);
        demand(mr_utf8_valid(mr_slice_text(verdict.reason)), "reason", verdict.field);
    }
    if (outcome != CANNOT_TELL && verdict.code != DEAD(TOO_DEEP)) {
        demand((outcome == BROKEN) == is_syntax(verdict.code), "what is JSON", verdict.reason);
        demand((outcome == NO_OBJECT) == (verdict.code == DEAD(NOT_ONE_OBJECT)),
               "what is one object", verdict.reason);
        if (dead == 0)
            compare(kind, mr_buf_slice(&record), json);
    }
    json_decref(json);
    mr_buf_fini(&record);
    mr_buf_fini(&key);
}

/* What can be decoded comes out the same after another round. */
static void
fuzz_decode(const struct mr_kind *kind, struct mr_slice value)
{
    struct mr_columns *rows = mr_columns_new(&kind->output);
    struct mr_buf record, before, after;
    struct mr_err err = { 0 };
    mr_buf_init(&record, 8 * BYTES_MAX);
    mr_buf_init(&before, 8 * BYTES_MAX);
    mr_buf_init(&after, 8 * BYTES_MAX);
    if (mr_contract_decode(kind, MR_OUTPUT, value, rows, &err) == 0) {
        demand(mr_contract_encode(kind, rows, 0, &record, &err) == 0, err.text, "encode");
        demand(mr_contract_decode(kind, MR_OUTPUT, mr_buf_slice(&record), rows, &err) == 0,
               err.text, "decode");
        mr_contract_json(&kind->output, rows, 0, &before);
        mr_contract_json(&kind->output, rows, 1, &after);
        demand(mr_slice_is(mr_buf_slice(&before), mr_buf_slice(&after)), "round trip", after.data);
    }
    mr_columns_free(rows);
    mr_buf_fini(&record);
    mr_buf_fini(&before);
    mr_buf_fini(&after);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mr_contracts *contracts;
    struct mr_err err = { 0 };
    if (contracts == NULL)
        demand(mr_contracts_open(KINDS, &contracts, &err) == 0, err.text, KINDS);
    const struct mr_kind *kind = mr_contracts_find(contracts, "thing");
    if (size > BYTES_MAX / 4)
        return 0;
    fuzz_check(kind, mr_slice(data, size));
    fuzz_decode(kind, mr_slice(data, size));
    return 0;
}
