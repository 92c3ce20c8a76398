/*
 * The columns in their order, and how each is filled from the message. A field that the message
 * lacks is NULL; an original that is a tombstone is NULL, an empty one is empty. Of a mark only
 * what it marks and what became of it is filled.
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
    { "traceparent", MR_TYPE_STRING,
      false }, /* from here on younger ones: older tables lack them */
    { "attempts", MR_TYPE_INTEGER, false },
    { "first_dead_at", MR_TYPE_TIMESTAMP, false },
    { "replayed_partition", MR_TYPE_INTEGER, false },
    { "replayed_offset", MR_TYPE_LONG, false },
    { "replayed_at", MR_TYPE_TIMESTAMP, false },
};
/* Columns, by number; the other ones follow each other. */
enum { EVENT_ID, KIND, STAGE, CODE, TOPIC = 9, ATTEMPTS = 16, REPLAYED_PARTITION = 18 };

const struct mr_schema *
mr_letter_schema(void)
{
    static const struct mr_schema schema = { fields, MR_COUNT(fields) };
    return &schema;
}

/* Letters are protobuf, whose C side takes any bytes for a text, and anybody may write to a topic.
 * A table takes UTF-8 only, so other bytes become \xNN here. */
static void
put_text(struct mr_columns *to, size_t *column, const char *text)
{
    struct mr_slice plain = mr_slice_text(text);
    if (mr_utf8_valid(plain)) {
        mr_columns_text(to, (*column)++, plain);
        return;
    }
    MR_CLEANUP(mr_buf_fini) struct mr_buf escaped;
    mr_buf_init(&escaped, 4 * plain.size);
    for (const char *at = text; *at != '\0'; at++)
        mr_buf_printf(&escaped, (signed char)*at < 0 ? "\\x%02x" : "%c", (unsigned char)*at);
    mr_columns_text(to, (*column)++, mr_buf_slice(&escaped));
}

/* A time of no calendar, or 0 for one that is not known, is NULL. */
static void
put_time(struct mr_columns *to, size_t *column, int64_t us)
{
    static const int64_t us_max = 253402300799999999; /* the end of the year 9999 */
    if (us > 0 && us <= us_max)
        mr_columns_int(to, *column, us);
    (*column)++;
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

static void
put_origin(struct mr_columns *to, size_t *column, const Millrace__V1__Origin *origin)
{
    if (origin != NULL) {
        put_text(to, column, origin->topic);
        mr_columns_int(to, (*column)++, origin->partition);
        mr_columns_int(to, (*column)++, origin->offset);
    } else {
        *column += 3;
    }
}

static void
put_letter(struct mr_columns *to, const Millrace__V1__DeadLetter *letter)
{
    size_t column = CODE;
    put_text(to, &column, code_name(letter->code));
    put_text(to, &column, letter->field);
    put_text(to, &column, letter->rule);
    put_text(to, &column, letter->value);
    put_text(to, &column, letter->reason);
    if (letter->tombstone)
        mr_columns_null(to, column++);
    else
        mr_columns_text(to, column++, mr_slice(letter->original.data, letter->original.len));
    MR_ASSERT(column == TOPIC);
    put_origin(to, &column, letter->origin);
    mr_columns_int(to, column++, letter->contract_version);
    put_time(to, &column, letter->provenance != NULL ? letter->provenance->received_us : 0);
    put_time(to, &column, letter->dead_us);
    put_trace(to, &column, letter->provenance);
    MR_ASSERT(column == ATTEMPTS);
    if (letter->attempts > 0) {
        mr_columns_int(to, column++, letter->attempts);
        put_time(to, &column, letter->first_dead_us);
    }
}

static void
put_mark(struct mr_columns *to, const Millrace__V1__DeadLetter *mark)
{
    size_t column = TOPIC;
    put_origin(to, &column, mark->origin);
    column = REPLAYED_PARTITION;
    mr_columns_int(to, column++, mark->replayed_as->partition);
    mr_columns_int(to, column++, mark->replayed_as->offset);
    mr_columns_int(to, column++, mark->replayed_us);
    MR_ASSERT(column == MR_COUNT(fields));
}

int
mr_letter_decode(struct mr_slice packed, struct mr_columns *to, struct mr_err *err)
{
    Millrace__V1__DeadLetter *letter =
        millrace__v1__dead_letter__unpack(NULL, packed.size, packed.data);
    if (letter == NULL)
        return mr_fail(err, MR_E(CORRUPT), MR_FATAL, "%zu bytes are no dead letter", packed.size);
    size_t column = EVENT_ID;
    put_event_id(to, &column, letter->provenance);
    put_text(to, &column, letter->kind);
    put_text(to, &column, letter->stage);
    if (letter->replayed_as != NULL)
        put_mark(to, letter);
    else
        put_letter(to, letter);
    mr_columns_end_row(to);
    millrace__v1__dead_letter__free_unpacked(letter, NULL);
    return 0;
}
