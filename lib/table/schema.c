/*
 * Schemas as Delta keeps them: a JSON text inside JSON. Types beyond ours (structs, maps, decimals)
 * are refused by name: a table that has them was made by others for others.
 */
#include "table/private.h"

#include <stdlib.h>

static bool
type_find(const char *delta, enum mr_type *ret)
{
    for (int t = 0; t < MR_TYPE_COUNT; t++)
        if (delta != NULL && strcmp(mr_type_delta(t), delta) == 0) {
            *ret = t;
            return true;
        }
    return false;
}

static int
field_parse(const json_t *from, struct mr_field *ret, struct mr_err *err)
{
    const char *name = json_string_value(json_object_get(from, "name"));
    const json_t *type = json_object_get(from, "type");
    if (name == NULL || type == NULL)
        return mr_fail(err, MR_E(CORRUPT), MR_FATAL, "a field of the schema has no name or type");
    if (strlen(name) > MR_FIELD_NAME_MAX)
        return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL, "column name %.70s.. is longer than %d",
                       name, MR_FIELD_NAME_MAX);
    *ret = (struct mr_field){ .is_list = json_is_object(type) };
    memcpy(ret->name, name, strlen(name));
    const char *word = json_string_value(type);
    if (ret->is_list &&
        strcmp(json_string_value(json_object_get(type, "type")) ?: "", "array") == 0)
        word = json_string_value(json_object_get(type, "elementType"));
    if (!type_find(word, &ret->type))
        return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL,
                       "column %s has type %s, which millrace does not handle", name,
                       word != NULL ? word : "of parts");
    return 0;
}

int
mr_delta_schema_parse(const char *text, struct mr_schema *ret, struct mr_err *err)
{
    json_t *schema = json_loads(text, 0, NULL);
    const json_t *fields = json_object_get(schema, "fields");
    size_t count = json_array_size(fields);
    struct mr_schema made = { .fields = mr_alloc((count + 1) * sizeof(*made.fields)) };
    int code = 0;
    if (count == 0 || count > MR_FIELDS_MAX)
        code = mr_fail(err, MR_E(CORRUPT), MR_FATAL, "the schema has %zu columns, not 1 to %d",
                       count, MR_FIELDS_MAX);
    for (; made.count < count && code == 0; made.count++)
        code = field_parse(json_array_get(fields, made.count), &made.fields[made.count], err);
    json_decref(schema);
    if (code == 0)
        *ret = made;
    else
        free(made.fields);
    return code;
}

static json_t *
field_json(const struct mr_field *field)
{
    const char *word = mr_type_delta(field->type);
    json_t *type = field->is_list ? json_pack("{s:s, s:s, s:b}", "type", "array", "elementType",
                                              word, "containsNull", 1)
                                  : json_string(word);
    return json_pack("{s:s, s:o, s:b, s:{}}", "name", field->name, "type", type, "nullable", 1,
                     "metadata");
}

static bool
has_field(const json_t *fields, const char *name)
{
    size_t i;
    json_t *field;
    json_array_foreach(fields, i,
                       field) if (strcmp(json_string_value(json_object_get(field, "name")) ?: "",
                                         name) == 0) return true;
    return false;
}

char *
mr_delta_schema_text(const char *base, const struct mr_schema *schema)
{
    json_t *whole = base != NULL ? json_loads(base, 0, NULL)
                                 : json_pack("{s:s, s:[]}", "type", "struct", "fields");
    json_t *fields = json_object_get(whole, "fields");
    MR_ASSERT(json_is_array(fields));
    for (size_t i = 0; i < schema->count; i++)
        if (!has_field(fields, schema->fields[i].name))
            (void)json_array_append_new(fields, field_json(&schema->fields[i]));
    char *text = json_dumps(whole, JSON_COMPACT);
    json_decref(whole);
    MR_ASSERT(text != NULL);
    return text;
}

int
mr_delta_schema_check(const struct mr_schema *expected, const struct mr_schema *have,
                      size_t *ret_missing, struct mr_err *err)
{
    for (size_t i = 0; i < have->count; i++)
        if (mr_schema_find(expected, have->fields[i].name) < 0)
            return mr_fail(err, MR_E(IDENTITY), MR_FATAL,
                           "the table has column %s, which this process does not know: it runs "
                           "with an older contract or another table",
                           have->fields[i].name);
    size_t missing = 0;
    for (size_t i = 0; i < expected->count; i++) {
        const struct mr_field *want = &expected->fields[i];
        int at = mr_schema_find(have, want->name);
        if (at < 0) {
            missing++;
            continue;
        }
        const struct mr_field *is = &have->fields[at];
        if (is->type != want->type || is->is_list != want->is_list)
            return mr_fail(err, MR_E(IDENTITY), MR_FATAL,
                           "column %s is %s%s in the table and %s%s in the contract", want->name,
                           is->is_list ? "list of " : "", mr_type_delta(is->type),
                           want->is_list ? "list of " : "", mr_type_delta(want->type));
    }
    *ret_missing = missing;
    return 0;
}
