/*
 * One kind from its FileDescriptorSet: the message that says what may come in, the one that says
 * what comes out, and that both fit together. What the options say and nobody would obey is refused
 * here, at open, not ignored.
 */
#include "contract/private.h"

#include <stdio.h>

static bool
is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* ---- finding the messages ---- */

static int
find_file(const Google__Protobuf__FileDescriptorSet *set, const char *kind,
          const Google__Protobuf__FileDescriptorProto **ret, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *name = mr_printf("%s.proto", kind);
    for (size_t i = 0; i < set->n_file; i++) {
        if (strcmp(set->file[i]->name, name) != 0)
            continue;
        if (set->file[i]->syntax == NULL || strcmp(set->file[i]->syntax, "proto3") != 0)
            return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL, "%s must say syntax = \"proto3\"",
                           name);
        *ret = set->file[i];
        return 0;
    }
    return mr_fail(err, MR_E(INVALID), MR_FATAL,
                   "its descriptor set holds no %s: make it with tools/kinds", name);
}

static int
find_input(const Google__Protobuf__FileDescriptorProto *file,
           const Google__Protobuf__DescriptorProto **ret, Millrace__V1__KindOptions **ret_options,
           struct mr_err *err)
{
    *ret_options = NULL;
    for (size_t i = 0; i < file->n_message_type; i++) {
        Millrace__V1__KindOptions *options;
        if (mr_kind_options(file->message_type[i], &options, err) != 0)
            return err->code;
        if (options == NULL)
            continue;
        if (*ret_options != NULL) {
            millrace__v1__kind_options__free_unpacked(options, NULL);
            return mr_fail(err, MR_E(INVALID), MR_FATAL,
                           "messages %s and %s both have option (millrace.v1.kind): one may",
                           (*ret)->name, file->message_type[i]->name);
        }
        *ret = file->message_type[i];
        *ret_options = options;
    }
    if (*ret_options == NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "no message has option (millrace.v1.kind): give it to what may come in");
    return 0;
}

static const Google__Protobuf__DescriptorProto *
find_message(const Google__Protobuf__FileDescriptorProto *file, const char *name)
{
    for (size_t i = 0; i < file->n_message_type; i++)
        if (strcmp(file->message_type[i]->name, name) == 0)
            return file->message_type[i];
    return NULL;
}

/* ---- what the kind's options say ---- */

static bool
may_be_key(const struct mr_field *column)
{
    return !column->is_list &&
           (column->type == MR_TYPE_INTEGER || column->type == MR_TYPE_LONG ||
            column->type == MR_TYPE_STRING || column->type == MR_TYPE_TIMESTAMP);
}

static int
read_key(struct mr_kind *kind, struct mr_kind_private *rules,
         const Millrace__V1__KindOptions *options, struct mr_err *err)
{
    const char *key_out = is_set(options->key_out) ? options->key_out : options->key;
    kind->key_in = kind->key_out = -1;
    kind->duplicates =
        options->duplicates == MILLRACE__V1__DUPLICATES__KEEP_ALL ? MR_KEEP_ALL : MR_KEEP_FIRST;
    if (!is_set(options->key)) {
        if (kind->duplicates == MR_KEEP_FIRST)
            return mr_fail(err, MR_E(INVALID), MR_FATAL,
                           "KEEP_FIRST needs a key: name it, or say duplicates: KEEP_ALL");
        return 0;
    }
    kind->key_in = mr_schema_find(&kind->input, options->key);
    kind->key_out = mr_schema_find(&kind->output, key_out);
    if (kind->key_in < 0 || kind->key_out < 0)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "key %s is no field of the %s message",
                       kind->key_in < 0 ? options->key : key_out,
                       kind->key_in < 0 ? "input" : "output");
    const struct mr_field *in = &kind->input.fields[kind->key_in];
    const struct mr_field *out = &kind->output.fields[kind->key_out];
    if (!may_be_key(in) || in->type != out->type || out->is_list)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "key %s: it must be one whole number, text or time, the same in the output",
                       options->key);
    if (!rules->input.fields[kind->key_in].required)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "key %s must say required: true",
                       options->key);
    rules->input.fields[kind->key_in].is_key = true;
    return 0;
}

static int
read_unknown(const struct mr_kind *kind, struct mr_kind_private *rules,
             const Millrace__V1__KindOptions *options, struct mr_err *err)
{
    bool keeps = options->unknown_fields == MILLRACE__V1__UNKNOWN_FIELDS__KEEP;
    rules->unknown = options->unknown_fields;
    rules->unknown_in = -1;
    if (keeps != is_set(options->unknown_in))
        return mr_fail(
            err, MR_E(INVALID), MR_FATAL,
            "unknown_fields: KEEP and unknown_in go together: the field that takes them");
    if (!keeps)
        return 0;
    rules->unknown_in = mr_schema_find(&kind->input, options->unknown_in);
    if (rules->unknown_in < 0 || kind->input.fields[rules->unknown_in].type != MR_TYPE_STRING ||
        kind->input.fields[rules->unknown_in].is_list || rules->unknown_in == kind->key_in ||
        rules->input.fields[rules->unknown_in].required)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "unknown_in %s must be a string of the input, neither key nor required",
                       options->unknown_in);
    return 0;
}

/* What comes out is made by clean.sql: nothing of it is checked, so nothing may claim to be. */
static int
check_output(const struct mr_plan *plan, struct mr_err *err)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct mr_plan_field *field = &plan->fields[i];
        if (field->required || field->number_or_text || field->has_min || field->has_max ||
            field->length_max != 0 || field->pattern != NULL || field->aliases_count != 0)
            return mr_fail(err, MR_E(INVALID), MR_FATAL,
                           "field %s of the output: only time means something here",
                           field->column->name);
    }
    return 0;
}

static uint64_t
digest(const Google__Protobuf__FileDescriptorProto *file, const char *clean_sql)
{
    size_t size = google__protobuf__file_descriptor_proto__get_packed_size(file);
    MR_CLEANUP(mr_freep) uint8_t *bytes = mr_alloc(size);
    (void)google__protobuf__file_descriptor_proto__pack(file, bytes);
    return mr_hash64(clean_sql, strlen(clean_sql), mr_hash64(bytes, size, 0));
}

/* ---- the kind ---- */

static int
check_options(const struct mr_kind *kind, const Millrace__V1__KindOptions *options,
              struct mr_err *err)
{
    if (!is_set(options->name) || strcmp(options->name, kind->name) != 0)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "option name says \"%s\": it must be the folder's name",
                       is_set(options->name) ? options->name : "");
    if (options->version < 1)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "option version must be 1 or more");
    if (!is_set(options->output))
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "option output must name a message");
    return 0;
}

static int
load(const Google__Protobuf__FileDescriptorProto *file,
     const Google__Protobuf__DescriptorProto *input, const Millrace__V1__KindOptions *options,
     struct mr_arena *arena, struct mr_kind *kind, struct mr_err *err)
{
    struct mr_kind_private *rules = (struct mr_kind_private *)kind->private_;
    if (check_options(kind, options, err) != 0)
        return err->code;
    const Google__Protobuf__DescriptorProto *output = find_message(file, options->output);
    if (output == NULL || output == input)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "output %s is no other message of the same file", options->output);
    if (mr_plan_read(&rules->input, &kind->input, input, arena, err) != 0 ||
        mr_plan_read(&rules->output, &kind->output, output, arena, err) != 0 ||
        check_output(&rules->output, err) != 0 || read_key(kind, rules, options, err) != 0 ||
        read_unknown(kind, rules, options, err) != 0 ||
        mr_plan_index(&rules->input, rules->unknown_in, arena, err) != 0)
        return err->code;
    kind->version = options->version;
    rules->digest = digest(file, kind->clean_sql);
    return 0;
}

int
mr_kind_load(struct mr_slice descriptors, struct mr_arena *arena, struct mr_kind *ret,
             struct mr_err *err)
{
    MR_ASSERT(ret->name != NULL && ret->clean_sql != NULL);
    const Google__Protobuf__FileDescriptorProto *file = NULL;
    const Google__Protobuf__DescriptorProto *input = NULL;
    Millrace__V1__KindOptions *options = NULL;
    struct mr_kind_private *rules = mr_arena_alloc(arena, sizeof(*rules));
    *rules = (struct mr_kind_private){ .unknown_in = -1 };
    ret->private_ = rules;

    Google__Protobuf__FileDescriptorSet *set =
        google__protobuf__file_descriptor_set__unpack(NULL, descriptors.size, descriptors.data);
    if (set == NULL)
        return mr_fail(err, MR_E(CORRUPT), MR_FATAL,
                       "its .binpb is no descriptor set: make it with tools/kinds");
    int code = find_file(set, ret->name, &file, err);
    if (code == 0)
        code = find_input(file, &input, &options, err);
    if (code == 0)
        code = load(file, input, options, arena, ret, err);
    millrace__v1__kind_options__free_unpacked(options, NULL);
    google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
    return code;
}

void
mr_kind_fini(struct mr_kind *kind)
{
    if (kind->private_ == NULL)
        return;
    struct mr_kind_private *rules = (struct mr_kind_private *)kind->private_;
    mr_plan_fini(&rules->input);
    mr_plan_fini(&rules->output);
}
