/*
 * A message as a plan: its fields with their rules, and one table of names and aliases. All memory
 * but the compiled patterns lies in the arena of the set.
 */
#include "contract/private.h"

#include <stdio.h>

enum { PATTERN_ERROR_MAX = 128 };

static void *
zeroed(struct mr_arena *arena, size_t bytes)
{
    return memset(mr_arena_alloc(arena, bytes), 0, bytes);
}

static const char *
keep_text(struct mr_arena *arena, const char *text)
{
    return mr_arena_copy(arena, text, strlen(text));
}

/* ---- types ---- */

static int
read_type(const Google__Protobuf__FieldDescriptorProto *from, bool is_time, enum mr_type *ret,
          struct mr_err *err)
{
    switch (from->type) {
#define MR_X(proto, column)                                                                        \
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_##proto:                             \
        *ret = MR_TYPE_##column;                                                                   \
        break;
        MR_X(BOOL, BOOL)
        MR_X(INT32, INTEGER)
        MR_X(INT64, LONG)
        MR_X(DOUBLE, DOUBLE)
        MR_X(STRING, STRING)
        MR_X(BYTES, BINARY)
#undef MR_X
    default:
        return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL,
                       "its type is not taken: use bool, int32, int64, double, string or bytes");
    }
    if (is_time && *ret != MR_TYPE_LONG)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "a time must be an int64");
    if (is_time)
        *ret = MR_TYPE_TIMESTAMP;
    return 0;
}

static int
check_presence(const Google__Protobuf__FieldDescriptorProto *from, struct mr_err *err)
{
    if (from->has_oneof_index && !from->proto3_optional)
        return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL, "oneof is not taken: write optional");
    if (!from->proto3_optional &&
        from->label != GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED)
        return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL,
                       "write optional in front: without it nobody can tell absent from 0");
    return 0;
}

/* ---- rules ---- */

static int
read_pattern(struct mr_plan_field *field, const char *pattern, struct mr_arena *arena,
             struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *whole = mr_printf("^(%s)$", pattern);
    int code = regcomp(&field->regex, whole, REG_EXTENDED);
    if (code != 0) {
        char text[PATTERN_ERROR_MAX];
        (void)regerror(code, &field->regex, text, sizeof(text));
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "pattern \"%s\": %s", pattern, text);
    }
    field->pattern = keep_text(arena, pattern);
    return 0;
}

/* Says which rule means nothing for the type; NULL: all do. */
static const char *
misplaced_rule(const Millrace__V1__FieldOptions *options, enum mr_type type)
{
    bool is_text = type == MR_TYPE_STRING;
    bool is_number = type == MR_TYPE_INTEGER || type == MR_TYPE_LONG || type == MR_TYPE_DOUBLE;
    if (options->has_min && !is_number)
        return "min";
    if (options->has_max && !is_number)
        return "max";
    if (options->has_max_length && !is_text)
        return "max_length";
    if (options->pattern != NULL && !is_text)
        return "pattern";
    if (options->number_or_text && !is_number && !is_text)
        return "number_or_text";
    return NULL;
}

static int
read_rules(struct mr_plan_field *field, const Millrace__V1__FieldOptions *options,
           struct mr_arena *arena, struct mr_err *err)
{
    const char *misplaced = misplaced_rule(options, field->column->type);
    if (misplaced != NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s means nothing for its type: remove it",
                       misplaced);
    field->required = options->required;
    field->number_or_text = options->number_or_text;
    field->has_min = options->has_min;
    field->has_max = options->has_max;
    field->min = options->min;
    field->max = options->max;
    field->length_max = options->max_length;
    field->aliases_count = options->n_alias;
    field->aliases = zeroed(arena, options->n_alias * sizeof(*field->aliases));
    for (size_t i = 0; i < options->n_alias; i++)
        field->aliases[i] = keep_text(arena, options->alias[i]);
    return options->pattern != NULL ? read_pattern(field, options->pattern, arena, err) : 0;
}

/* ---- one field ---- */

static void
set_tag(struct mr_plan_field *field)
{
    static const uint8_t wire_types[MR_TYPE_COUNT] = {
        [MR_TYPE_DOUBLE] = 1, [MR_TYPE_STRING] = 2, [MR_TYPE_BINARY] = 2
    };
    unsigned wire = mr_plan_packed(field) ? 2 : wire_types[field->column->type];
    field->tag_size =
        (uint8_t)(mr_wire_varint(field->tag, (uint64_t)field->number << 3 | wire) - field->tag);
}

static int
read_field(struct mr_plan_field *field, struct mr_field *column,
           const Google__Protobuf__FieldDescriptorProto *from, struct mr_arena *arena,
           struct mr_err *err)
{
    Millrace__V1__FieldOptions none = MILLRACE__V1__FIELD_OPTIONS__INIT, *options;
    if (mr_field_options(from, &options, err) != 0)
        return err->code;
    const Millrace__V1__FieldOptions *said = options != NULL ? options : &none;
    bool is_time = said->time != MILLRACE__V1__TIME_TEXT__NOT_A_TIME;

    (void)snprintf(column->name, sizeof(column->name), "%s", from->name);
    column->is_list =
        from->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED;
    field->column = column;
    field->number = (uint32_t)from->number;
    MR_CLEANUP(mr_freep) char *guess = mr_printf("\"%s\":", from->name);
    field->guess = keep_text(arena, guess);
    field->guess_size = strlen(guess);
    int code = check_presence(from, err);
    if (code == 0)
        code = read_type(from, is_time, &column->type, err);
    if (code == 0) {
        set_tag(field);
        code = read_rules(field, said, arena, err);
    }
    millrace__v1__field_options__free_unpacked(options, NULL);
    return code;
}

/* ---- names ---- */

static struct mr_plan_slot *
find_slot(const struct mr_plan *plan, struct mr_slice name)
{
    size_t i = mr_hash64(name.data, name.size, 0) & plan->slots_mask;
    while (plan->slots[i].name != NULL &&
           !mr_slice_is(name, mr_slice(plan->slots[i].name, plan->slots[i].size)))
        i = (i + 1) & plan->slots_mask;
    return &plan->slots[i];
}

static int
add_name(struct mr_plan *plan, const char *name, size_t field, struct mr_err *err)
{
    struct mr_plan_slot *slot = find_slot(plan, mr_slice_text(name));
    if (name[0] == '\0' || slot->name != NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "field %s: name or alias \"%s\" is empty or taken: choose another",
                       plan->fields[field].column->name, name);
    *slot = (struct mr_plan_slot){ name, strlen(name), (uint32_t)field };
    return 0;
}

int
mr_plan_index(struct mr_plan *plan, int hidden, struct mr_arena *arena, struct mr_err *err)
{
    size_t names = 0, slots = 16;
    for (size_t i = 0; i < plan->count; i++)
        names += 1 + plan->fields[i].aliases_count;
    while (slots < 4 * names)
        slots *= 2;
    plan->slots = zeroed(arena, slots * sizeof(*plan->slots));
    plan->slots_mask = slots - 1;
    for (size_t i = 0; i < plan->count; i++) {
        struct mr_plan_field *field = &plan->fields[i];
        if ((int)i == hidden) {
            field->guess = "!"; /* no name begins so */
            field->guess_size = 1;
            continue;
        }
        if (add_name(plan, field->column->name, i, err) != 0)
            return err->code;
        for (size_t a = 0; a < field->aliases_count; a++)
            if (add_name(plan, field->aliases[a], i, err) != 0)
                return err->code;
    }
    return 0;
}

const struct mr_plan_field *
mr_plan_find(const struct mr_plan *plan, struct mr_slice name)
{
    const struct mr_plan_slot *slot = find_slot(plan, name);
    return slot->name != NULL ? &plan->fields[slot->field] : NULL;
}

const struct mr_plan_field *
mr_plan_numbered(const struct mr_plan *plan, uint32_t number)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->fields[i].number == number)
            return &plan->fields[i];
    return NULL;
}

/* ---- the message ---- */

int
mr_plan_read(struct mr_plan *plan, struct mr_schema *ret_schema,
             const Google__Protobuf__DescriptorProto *message, struct mr_arena *arena,
             struct mr_err *err)
{
    size_t count = message->n_field;
    if (count < 1 || count > MR_FIELDS_MAX)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "message %s has %zu fields: 1 to %d are taken",
                       message->name, count, MR_FIELDS_MAX);
    *plan = (struct mr_plan){ .fields = zeroed(arena, count * sizeof(*plan->fields)) };
    *ret_schema = (struct mr_schema){ zeroed(arena, count * sizeof(struct mr_field)), count };
    for (size_t i = 0; i < count; i++) {
        const Google__Protobuf__FieldDescriptorProto *from = message->field[i];
        if (strlen(from->name) > MR_FIELD_NAME_MAX)
            return mr_fail(err, MR_E(INVALID), MR_FATAL, "field %s: its name is longer than %d",
                           from->name, MR_FIELD_NAME_MAX);
        plan->count = i + 1;
        if (read_field(&plan->fields[i], &ret_schema->fields[i], from, arena, err) != 0)
            return mr_fail_in(err, "field %s", from->name);
        if (plan->fields[i].required)
            plan->required[i / 64] |= (uint64_t)1 << (i % 64);
    }
    return 0;
}

void
mr_plan_fini(struct mr_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->fields[i].pattern != NULL)
            regfree(&plan->fields[i].regex);
}
