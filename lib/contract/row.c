/*
 * Messages to rows and back, by the plan: no generated code, no message structs. A record is read
 * twice: first it is judged whole and the place of each value noted, then the row is appended, so
 * that a damaged record leaves the columns as they were.
 */
#include "contract/private.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5, VARINT_SHIFT_MAX = 63 };

/* ---- reading the wire ---- */

struct reader {
    const uint8_t *at, *end;
};

struct value {
    uint32_t number;
    unsigned wire;
    uint64_t bits; /* of a varint or a fixed one */
    struct mr_slice bytes;
};

static bool
read_varint(struct reader *in, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift <= VARINT_SHIFT_MAX && in->at < in->end; shift += 7) {
        uint8_t byte = *in->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool
read_bytes(struct reader *in, uint64_t size, struct mr_slice *ret)
{
    if (size > (uint64_t)(in->end - in->at))
        return false;
    *ret = mr_slice(in->at, (size_t)size);
    in->at += size;
    return true;
}

static bool
read_value(struct reader *in, struct value *ret)
{
    uint64_t tag, size;
    if (!read_varint(in, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
        return false;
    ret->number = (uint32_t)(tag >> 3);
    ret->wire = tag & 7;
    switch (ret->wire) {
    case WIRE_VARINT:
        return read_varint(in, &ret->bits);
    case WIRE_64:
        if (!read_bytes(in, sizeof(ret->bits), &ret->bytes))
            return false;
        memcpy(&ret->bits, ret->bytes.data, sizeof(ret->bits));
        return true;
    case WIRE_BYTES:
        return read_varint(in, &size) && read_bytes(in, size, &ret->bytes);
    case WIRE_32:
        return read_bytes(in, 4, &ret->bytes);
    default:
        return false;
    }
}

/* ---- judging ---- */

static unsigned
wire_of(enum mr_type type)
{
    return type == MR_TYPE_DOUBLE                             ? WIRE_64
           : type == MR_TYPE_STRING || type == MR_TYPE_BINARY ? WIRE_BYTES
                                                              : WIRE_VARINT;
}

/* The next number of a packed list, as a value of its own. */
static bool
read_packed(struct reader *in, enum mr_type type, struct value *ret)
{
    ret->wire = wire_of(type);
    if (ret->wire == WIRE_VARINT)
        return read_varint(in, &ret->bits);
    struct mr_slice bytes;
    if (!read_bytes(in, sizeof(ret->bits), &bytes))
        return false;
    memcpy(&ret->bits, bytes.data, sizeof(ret->bits));
    return true;
}

static struct reader
read_slice(struct mr_slice bytes)
{
    const uint8_t *at = bytes.size > 0 ? bytes.data : (const uint8_t *)"";
    return (struct reader){ at, at + bytes.size };
}

static bool
is_one(const struct value *value, enum mr_type type)
{
    if (value->wire != wire_of(type))
        return false;
    if (type == MR_TYPE_STRING)
        return mr_utf8_valid(value->bytes);
    int64_t number = (int64_t)value->bits;
    return type != MR_TYPE_INTEGER || (number >= INT32_MIN && number <= INT32_MAX);
}

static bool
is_value_of(const struct value *value, const struct mr_plan_field *field)
{
    enum mr_type type = field->column->type;
    if (!mr_plan_packed(field) || value->wire != WIRE_BYTES)
        return is_one(value, type);
    struct value element;
    for (struct reader in = read_slice(value->bytes); in.at < in.end;)
        if (!read_packed(&in, type, &element) || !is_one(&element, type))
            return false;
    return true;
}

/* ---- appending ---- */

static void
put_element(struct mr_column *to, const struct value *value)
{
    double number;
    switch (to->field.type) {
    case MR_TYPE_STRING:
    case MR_TYPE_BINARY:
        mr_column_put_text(to, value->bytes);
        return;
    case MR_TYPE_DOUBLE:
        memcpy(&number, &value->bits, sizeof(number));
        mr_column_put_double(to, number);
        return;
    case MR_TYPE_BOOL:
        mr_column_put_bool(to, value->bits != 0);
        return;
    default:
        mr_column_put_int(to, (int64_t)value->bits);
    }
}

static void
put_elements(struct mr_column *to, const struct mr_plan_field *field, struct mr_slice record)
{
    struct value value, element;
    for (struct reader in = read_slice(record); in.at < in.end && read_value(&in, &value);) {
        if (value.number != field->number)
            continue;
        if (!mr_plan_packed(field) || value.wire != WIRE_BYTES) {
            put_element(to, &value);
            continue;
        }
        for (struct reader packed = read_slice(value.bytes); packed.at < packed.end;) {
            bool fine = read_packed(&packed, field->column->type, &element);
            MR_ASSERT(fine); /* is_value_of saw it */
            put_element(to, &element);
        }
    }
}

int
mr_contract_decode(const struct mr_kind *kind, enum mr_side side, struct mr_slice record,
                   struct mr_columns *to, struct mr_err *err)
{
    const struct mr_plan *plan =
        side == MR_INPUT ? &kind->private_->input : &kind->private_->output;
    struct value values[MR_FIELDS_MAX], value;
    uint64_t found[MR_PLAN_WORDS] = { 0 };
    size_t next = 0;

    MR_ASSERT(to->count == plan->count);
    for (struct reader in = read_slice(record); in.at < in.end;) {
        if (!read_value(&in, &value))
            return mr_fail(err, MR_E(CORRUPT), MR_REJECT, "record of kind %s: no message",
                           kind->name);
        const struct mr_plan_field *field = &plan->fields[next];
        if (field->number != value.number)
            field = mr_plan_numbered(plan, value.number);
        if (field == NULL)
            continue;
        if (!is_value_of(&value, field))
            return mr_fail(err, MR_E(CORRUPT), MR_REJECT, "record of kind %s: field %s is damaged",
                           kind->name, field->column->name);
        if (mr_plan_packed(field) && value.wire == WIRE_BYTES && value.bytes.size == 0)
            continue; /* an empty list is as absent */
        size_t i = (size_t)(field - plan->fields);
        values[i] = value;
        found[i / 64] |= (uint64_t)1 << (i % 64);
        next = i + 1 < plan->count ? i + 1 : 0;
    }
    for (size_t i = 0; i < plan->count; i++) {
        const struct mr_plan_field *field = &plan->fields[i];
        if ((found[i / 64] >> (i % 64) & 1) == 0)
            mr_columns_null(to, i);
        else if (field->column->is_list)
            put_elements(mr_columns_list(to, i), field, record);
        else
            put_element(&to->columns[i], &values[i]);
    }
    mr_columns_end_row(to);
    return 0;
}

/* ---- writing the wire ---- */

static void
write_tag(struct mr_buf *to, const struct mr_plan_field *field)
{
    mr_buf_put(to, field->tag, field->tag_size);
}

static void
write_varint(struct mr_buf *to, uint64_t value)
{
    uint8_t bytes[MR_VARINT_MAX];
    mr_buf_put(to, bytes, (size_t)(mr_wire_varint(bytes, value) - bytes));
}

static void
write_value(struct mr_buf *to, const struct mr_column *column, size_t row)
{
    struct mr_slice text;
    double number;
    switch (column->field.type) {
    case MR_TYPE_STRING:
    case MR_TYPE_BINARY:
        text = mr_column_text(column, row);
        write_varint(to, text.size);
        mr_buf_put(to, text.data, text.size);
        return;
    case MR_TYPE_DOUBLE:
        number = mr_column_double(column, row);
        mr_buf_put(to, &number, sizeof(number));
        return;
    default:
        write_varint(to, (uint64_t)mr_column_int(column, row));
    }
}

static size_t
packed_size(const struct mr_column *child, size_t from, size_t end)
{
    size_t size = 0;
    if (child->field.type == MR_TYPE_DOUBLE)
        return (end - from) * sizeof(double);
    for (size_t row = from; row < end; row++)
        size += mr_wire_varint_size((uint64_t)mr_column_int(child, row));
    return size;
}

static int
write_list(struct mr_buf *to, const struct mr_plan_field *field, const struct mr_column *column,
           size_t row, struct mr_err *err)
{
    const struct mr_column *child = column->child;
    size_t from, end;
    mr_column_list(column, row, &from, &end);
    for (size_t i = from; i < end; i++)
        if (mr_column_is_null(child, i))
            return mr_fail(err, MR_E(INVALID), MR_REJECT,
                           "%s[%zu] is NULL: a list holds values only, make the whole list NULL",
                           field->column->name, i - from);
    if (mr_plan_packed(field) && from < end) {
        write_tag(to, field);
        write_varint(to, packed_size(child, from, end));
    }
    for (size_t i = from; i < end; i++) {
        if (!mr_plan_packed(field))
            write_tag(to, field);
        write_value(to, child, i);
    }
    return 0;
}

int
mr_contract_encode(const struct mr_kind *kind, const struct mr_columns *from, size_t row,
                   struct mr_buf *record, struct mr_err *err)
{
    const struct mr_plan *plan = &kind->private_->output;
    MR_ASSERT(from->count == plan->count && row < from->rows);
    for (size_t i = 0; i < plan->count; i++) {
        const struct mr_plan_field *field = &plan->fields[i];
        const struct mr_column *column = &from->columns[i];
        if (mr_column_is_null(column, row))
            continue;
        if (column->child == NULL) {
            write_tag(record, field);
            write_value(record, column, row);
        } else if (write_list(record, field, column, row, err) != 0) {
            return err->code;
        }
    }
    if (record->failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_REJECT, "record of kind %s: more than %zu bytes",
                       kind->name, record->max);
    return 0;
}
