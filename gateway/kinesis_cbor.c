/*
 * CBOR by libcbor's streaming decoder, one head or string at a time: its own tree would take as
 * much memory as a small body declares, and has no bound on values.
 */
#include "gateway/kinesis_doc.h"

#include <cbor.h>
#include <math.h>

enum token {
    TOKEN_NUMBER,
    TOKEN_BOOL,
    TOKEN_NULL,
    TOKEN_TEXT,
    TOKEN_TEXT_PIECES,
    TOKEN_BYTES,
    TOKEN_BYTES_PIECES,
    TOKEN_LIST,
    TOKEN_MAP,
    TOKEN_TAG,
    TOKEN_BREAK,
};

struct reader {
    struct mr_slice rest;
    struct doc_room room;
    const char *fault;
    int depth;

    enum token token;
    bool is_true, is_whole, is_open; /* is_open: until a break */
    double number;
    struct mr_slice text;
    uint64_t count; /* of a container that is not open */
};

static bool
fail(struct reader *reader, const char *fault)
{
    if (reader->fault == NULL)
        reader->fault = fault;
    return false;
}

/* ---- tokens ---- */

static void
on_whole(void *self, double number)
{
    struct reader *reader = self;
    reader->token = TOKEN_NUMBER;
    reader->is_whole = true;
    reader->number = number;
}

static void
on_uint8(void *self, uint8_t number)
{
    on_whole(self, number);
}

static void
on_uint16(void *self, uint16_t number)
{
    on_whole(self, number);
}

static void
on_uint32(void *self, uint32_t number)
{
    on_whole(self, number);
}

static void
on_uint64(void *self, uint64_t number)
{
    on_whole(self, (double)number);
}

static void
on_negative8(void *self, uint8_t number)
{
    on_whole(self, -1.0 - number);
}

static void
on_negative16(void *self, uint16_t number)
{
    on_whole(self, -1.0 - number);
}

static void
on_negative32(void *self, uint32_t number)
{
    on_whole(self, -1.0 - number);
}

static void
on_negative64(void *self, uint64_t number)
{
    on_whole(self, -1.0 - (double)number);
}

static void
on_double(void *self, double number)
{
    on_whole(self, number);
    ((struct reader *)self)->is_whole = false;
}

static void
on_float(void *self, float number)
{
    on_double(self, number);
}

static void
on_bool(void *self, bool is_true)
{
    struct reader *reader = self;
    reader->token = TOKEN_BOOL;
    reader->is_true = is_true;
}

static void
on_null(void *self)
{
    ((struct reader *)self)->token = TOKEN_NULL;
}

static void
on_break(void *self)
{
    ((struct reader *)self)->token = TOKEN_BREAK;
}

static void
on_tag(void *self, uint64_t tag)
{
    (void)tag; /* whole numbers are milliseconds with or without the tag of a time */
    ((struct reader *)self)->token = TOKEN_TAG;
}

static void
on_text(void *self, cbor_data data, size_t size)
{
    struct reader *reader = self;
    reader->token = TOKEN_TEXT;
    reader->text = mr_slice(data, size);
}

static void
on_text_pieces(void *self)
{
    ((struct reader *)self)->token = TOKEN_TEXT_PIECES;
}

static void
on_bytes(void *self, cbor_data data, size_t size)
{
    on_text(self, data, size);
    ((struct reader *)self)->token = TOKEN_BYTES;
}

static void
on_bytes_pieces(void *self)
{
    ((struct reader *)self)->token = TOKEN_BYTES_PIECES;
}

static void
on_list(void *self, size_t count)
{
    struct reader *reader = self;
    reader->token = TOKEN_LIST;
    reader->is_open = false;
    reader->count = count;
}

static void
on_open_list(void *self)
{
    on_list(self, 0);
    ((struct reader *)self)->is_open = true;
}

static void
on_map(void *self, size_t count)
{
    on_list(self, count);
    ((struct reader *)self)->token = TOKEN_MAP;
}

static void
on_open_map(void *self)
{
    on_map(self, 0);
    ((struct reader *)self)->is_open = true;
}

static bool
next(struct reader *reader)
{
    static const struct cbor_callbacks callbacks = {
        .uint8 = on_uint8,
        .uint16 = on_uint16,
        .uint32 = on_uint32,
        .uint64 = on_uint64,
        .negint64 = on_negative64,
        .negint32 = on_negative32,
        .negint16 = on_negative16,
        .negint8 = on_negative8,
        .byte_string_start = on_bytes_pieces,
        .byte_string = on_bytes,
        .string = on_text,
        .string_start = on_text_pieces,
        .indef_array_start = on_open_list,
        .array_start = on_list,
        .indef_map_start = on_open_map,
        .map_start = on_map,
        .tag = on_tag,
        .float2 = on_float,
        .float4 = on_float,
        .float8 = on_double,
        .undefined = on_null,
        .null = on_null,
        .boolean = on_bool,
        .indef_break = on_break,
    };
    if (reader->rest.size == 0)
        return fail(reader, "it ends too early");
    struct cbor_decoder_result result =
        cbor_stream_decode(reader->rest.data, reader->rest.size, &callbacks, reader);
    if (result.status == CBOR_DECODER_NEDATA)
        return fail(reader, "it ends too early");
    if (result.status != CBOR_DECODER_FINISHED || result.read == 0)
        return fail(reader, "there is a byte that begins no value");
    reader->rest =
        mr_slice((const uint8_t *)reader->rest.data + result.read, reader->rest.size - result.read);
    return true;
}

/* ---- values ---- */

/* All pieces up to the break as one; they may not be of another type. */
static bool
join_pieces(struct reader *reader, enum token type, struct mr_slice *ret)
{
    struct reader ahead = *reader;
    size_t size = 0;
    while (next(&ahead) && ahead.token == type)
        size += ahead.text.size;
    if (ahead.fault != NULL)
        return fail(reader, ahead.fault);
    if (ahead.token != TOKEN_BREAK)
        return fail(reader, "a string has a piece of another type");
    char *joined = mr_arena_alloc(reader->room.arena, size + 1);
    for (size = 0; next(reader) && reader->token == type; size += reader->text.size)
        memcpy(joined + size, reader->text.data, reader->text.size);
    *ret = mr_slice(joined, size);
    return true;
}

static bool
read_name(struct reader *reader, struct mr_slice *ret)
{
    *ret = reader->text;
    if (reader->token == TOKEN_TEXT_PIECES)
        return join_pieces(reader, TOKEN_TEXT, ret);
    return reader->token == TOKEN_TEXT || fail(reader, "the name of a field is not a text");
}

static bool read_token(struct reader *reader, struct doc *ret);

static bool
read_container(struct reader *reader, struct doc *ret)
{
    bool is_open = reader->is_open;
    uint64_t left = reader->count;
    struct doc *last = NULL;
    ret->type = reader->token == TOKEN_MAP ? DOC_MAP : DOC_LIST;
    if (reader->depth == DOC_DEPTH_MAX)
        return fail(reader, "values are nested too deep");
    reader->depth++;
    for (; is_open || left > 0; left -= !is_open) {
        if (!next(reader))
            return false;
        if (is_open && reader->token == TOKEN_BREAK)
            break;
        struct doc *doc = doc_add(&reader->room, ret, &last);
        if (doc == NULL)
            return fail(reader, "there are too many values");
        if (ret->type == DOC_MAP && (!read_name(reader, &doc->name) || !next(reader)))
            return false;
        if (!read_token(reader, doc))
            return false;
    }
    reader->depth--;
    return true;
}

static bool
read_text(struct reader *reader, struct doc *ret)
{
    bool is_text = reader->token == TOKEN_TEXT || reader->token == TOKEN_TEXT_PIECES;
    bool is_whole = reader->token == TOKEN_TEXT || reader->token == TOKEN_BYTES;
    ret->type = is_text ? DOC_TEXT : DOC_BYTES;
    ret->text = reader->text;
    if (!is_whole && !join_pieces(reader, is_text ? TOKEN_TEXT : TOKEN_BYTES, &ret->text))
        return false;
    return !is_text || mr_utf8_valid(ret->text) || fail(reader, "a text is not UTF-8");
}

static bool
read_number(struct reader *reader, struct doc *ret)
{
    ret->type = DOC_NUMBER;
    ret->number = reader->number;
    ret->is_milliseconds = reader->is_whole;
    return isfinite(ret->number) || fail(reader, "a number is not finite");
}

/* The value whose first token has been read. */
static bool
read_token(struct reader *reader, struct doc *ret)
{
    switch (reader->token) {
    case TOKEN_NUMBER:
        return read_number(reader, ret);
    case TOKEN_BOOL:
        ret->type = DOC_BOOL;
        ret->is_true = reader->is_true;
        return true;
    case TOKEN_NULL:
        return true;
    case TOKEN_TEXT:
    case TOKEN_TEXT_PIECES:
    case TOKEN_BYTES:
    case TOKEN_BYTES_PIECES:
        return read_text(reader, ret);
    case TOKEN_LIST:
    case TOKEN_MAP:
        return read_container(reader, ret);
    case TOKEN_TAG:
        return next(reader) && (reader->token != TOKEN_TAG || fail(reader, "a tag has a tag")) &&
               read_token(reader, ret);
    default:
        return fail(reader, "there is a break too many");
    }
}

static bool
read_value(struct reader *reader, struct doc *ret)
{
    return next(reader) && read_token(reader, ret);
}

int
doc_from_cbor(struct mr_slice body, struct mr_arena *arena, const struct doc **ret,
              struct mr_err *err)
{
    struct reader reader = { .rest = body, .room.arena = arena };
    struct doc *root = mr_arena_alloc(arena, sizeof(*root));
    *root = (struct doc){ .type = DOC_NULL };
    if (read_value(&reader, root) && reader.rest.size > 0)
        (void)fail(&reader, "something stands behind the end");
    if (reader.fault != NULL)
        return mr_fail(err, MR_E(INVALID), MR_REJECT,
                       "the body is not the CBOR that is expected: %s at byte %zu", reader.fault,
                       body.size - reader.rest.size);
    *ret = root;
    return 0;
}
