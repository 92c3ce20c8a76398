/*
 * Our options in a descriptor: extensions are unknown fields to the generated code for
 * descriptor.proto, kept with the length in front.
 */
#include "contract/private.h"

enum { OPTION_NUMBER = 51841 };

/* The bytes of our option; data NULL: it is not there. */
static struct mr_slice
find_option(const ProtobufCMessage *options)
{
    for (unsigned i = 0; options != NULL && i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &options->unknown_fields[i];
        if (field->tag != OPTION_NUMBER || field->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            continue;
        size_t prefix = 1;
        while (prefix < field->len && (field->data[prefix - 1] & 0x80) != 0)
            prefix++;
        return mr_slice(field->data + prefix, field->len - prefix);
    }
    return (struct mr_slice){ 0 };
}

int
mr_kind_options(const Google__Protobuf__DescriptorProto *message, Millrace__V1__KindOptions **ret,
                struct mr_err *err)
{
    struct mr_slice bytes = find_option(message->options != NULL ? &message->options->base : NULL);
    *ret = NULL;
    if (bytes.data == NULL)
        return 0;
    *ret = millrace__v1__kind_options__unpack(NULL, bytes.size, bytes.data);
    if (*ret == NULL)
        return mr_fail(err, MR_E(CORRUPT), MR_FATAL, "message %s: option kind cannot be read",
                       message->name);
    return 0;
}

int
mr_field_options(const Google__Protobuf__FieldDescriptorProto *field,
                 Millrace__V1__FieldOptions **ret, struct mr_err *err)
{
    struct mr_slice bytes = find_option(field->options != NULL ? &field->options->base : NULL);
    *ret = NULL;
    if (bytes.data == NULL)
        return 0;
    *ret = millrace__v1__field_options__unpack(NULL, bytes.size, bytes.data);
    if (*ret == NULL)
        return mr_fail(err, MR_E(CORRUPT), MR_FATAL, "field %s: option field cannot be read",
                       field->name);
    return 0;
}
