/*
 * The columns in their order, and how each is filled from the message. A field that the message
 * lacks is NULL; an original that is a tombstone is NULL, an empty one is empty.
 */
#include "letter/letter.h"

#include "millrace/v1/event.pb-c.h"

static struct mr_field fields[] = {
    { "event_id", MR_TYPE_STRING, false },
    { "kind", MR_TYPE_STRING, false },
    { "stage", MR_TYPE_STRING, false },
    { "code", MR_TYPE_STRING, false },
    { "field", MR_TYPE_STRING, false },
    { "rule", MR_TYPE_STRING, false },
    { "value", MR_TYPE_STRING, false },
    { "reason", MR_TYPE_STRING, false },
    { "original", MR_TYPE_BINARY, false },
    { "topic", MR_TYPE_STRING, false },
    { "partition", MR_TYPE_INTEGER, false },
    { "offset", MR_TYPE_LONG, false },
    { "contract_version", MR_TYPE_INTEGER, false },
    { "received_at", MR_TYPE_TIMESTAMP, false },
    { "dead_at", MR_TYPE_TIMESTAMP, false },
    { "traceparent", MR_TYPE_STRING, false }, /* last: older tables lack it */
};

const struct mr_schema *
mr_letter_schema(void)
{
    static const struct mr_schema schema = { fields, MR_COUNT(fields) };
    return &schema;
}

static void
put_text(struct mr_columns *to, size_t *column, const char *text)
{
    mr_columns_text(to, (*column)++, mr_slice_text(text));
}

static void
put_event_id(struct mr_columns *to, size_t *column, const Millrace__V1__Provenance *provenance)
{
    char hex[2 * 64 + 1];
    if (provenance == NULL || provenance->event_id.len == 0 || provenance->event_id.len > 64) {
        mr_columns_null(to, (*column)++);
        return;
    }
    mr_hex(provenance->event_id.data, provenance->event_id.len, hex);
    put_text(to, column, hex);
}

static void
put_trace(struct mr_columns *to, size_t *column, const Millrace__V1__Provenance *provenance)
{
    if (provenance != NULL && provenance->traceparent[0] != '\0')
        put_text(to, column, provenance->traceparent);
    else
        mr_columns_null(to, (*column)++);
}

static const char *
code_name(Millrace__V1__DeadCode code)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&millrace__v1__dead_code__descriptor, (int)code);
    return value != NULL ? value->name : "UNKNOWN";
}

int
mr_letter_decode(struct mr_slice packed, struct mr_columns *to, struct mr_err *err)
{
    Millrace__V1__DeadLetter *letter =
        millrace__v1__dead_letter__unpack(NULL, packed.size, packed.data);
    if (letter == NULL)
        return mr_fail(err, MR_E(CORRUPT), MR_FATAL, "%zu bytes are no dead letter", packed.size);
    size_t column = 0;
    put_event_id(to, &column, letter->provenance);
    put_text(to, &column, letter->kind);
    put_text(to, &column, letter->stage);
    put_text(to, &column, code_name(letter->code));
    put_text(to, &column, letter->field);
    put_text(to, &column, letter->rule);
    put_text(to, &column, letter->value);
    put_text(to, &column, letter->reason);
    if (letter->tombstone)
        mr_columns_null(to, column++);
    else
        mr_columns_text(to, column++, mr_slice(letter->original.data, letter->original.len));
    if (letter->origin != NULL) {
        put_text(to, &column, letter->origin->topic);
        mr_columns_int(to, column++, letter->origin->partition);
        mr_columns_int(to, column++, letter->origin->offset);
    } else {
        column += 3;
    }
    mr_columns_int(to, column++, letter->contract_version);
    if (letter->provenance != NULL)
        mr_columns_int(to, column, letter->provenance->received_us);
    column++;
    mr_columns_int(to, column++, letter->dead_us);
    put_trace(to, &column, letter->provenance);
    MR_ASSERT(column == MR_COUNT(fields));
    mr_columns_end_row(to);
    millrace__v1__dead_letter__free_unpacked(letter, NULL);
    return 0;
}
