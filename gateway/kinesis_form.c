#include "gateway/kinesis_form.h"

#include "gateway/reply.h"

#include <cbor.h>

enum { HEAD_BYTES = 9, TIME_TAG = 1 };

void
form_init(struct form *form, bool is_cbor)
{
    *form = (struct form){ .is_cbor = is_cbor };
    mr_buf_init(&form->body, REPLY_JSON_BYTES_MAX);
}

void
form_fini(struct form *form)
{
    mr_buf_fini(&form->body);
}

static void
put_head(struct form *form, const unsigned char *head, size_t size)
{
    MR_ASSERT(size > 0);
    mr_buf_put(&form->body, head, size);
}

static void
put_cbor_text(struct form *form, struct mr_slice text)
{
    unsigned char head[HEAD_BYTES];
    put_head(form, head, cbor_encode_string_start(text.size, head, sizeof(head)));
    mr_buf_put(&form->body, text.data, text.size);
}

static void
put_cbor_uint(struct form *form, uint64_t number)
{
    unsigned char head[HEAD_BYTES];
    put_head(form, head, cbor_encode_uint(number, head, sizeof(head)));
}

/* In JSON also what stands between two values. */
static void
put_name(struct form *form, const char *name)
{
    struct mr_buf *body = &form->body;
    if (form->is_cbor) {
        if (name != NULL)
            put_cbor_text(form, mr_slice_text(name));
        return;
    }
    if (body->size > 0 && body->data[body->size - 1] != '{' && body->data[body->size - 1] != '[')
        mr_buf_put(body, ",", 1);
    if (name == NULL)
        return;
    mr_buf_json(body, mr_slice_text(name));
    mr_buf_put(body, ":", 1);
}

void
form_open(struct form *form, const char *name, char bracket)
{
    unsigned char head[HEAD_BYTES];
    MR_ASSERT(bracket == '{' || bracket == '[');
    put_name(form, name);
    if (!form->is_cbor)
        mr_buf_put(&form->body, &bracket, 1);
    else if (bracket == '{')
        put_head(form, head, cbor_encode_indef_map_start(head, sizeof(head)));
    else
        put_head(form, head, cbor_encode_indef_array_start(head, sizeof(head)));
}

void
form_close(struct form *form, char bracket)
{
    unsigned char head[HEAD_BYTES];
    MR_ASSERT(bracket == '}' || bracket == ']');
    if (form->is_cbor)
        put_head(form, head, cbor_encode_break(head, sizeof(head)));
    else
        mr_buf_put(&form->body, &bracket, 1);
}

void
form_text(struct form *form, const char *name, struct mr_slice utf8)
{
    put_name(form, name);
    if (form->is_cbor)
        put_cbor_text(form, utf8);
    else
        mr_buf_json(&form->body, utf8);
}

void
form_bytes(struct form *form, const char *name, struct mr_slice bytes)
{
    unsigned char head[HEAD_BYTES];
    put_name(form, name);
    if (form->is_cbor) {
        put_head(form, head, cbor_encode_bytestring_start(bytes.size, head, sizeof(head)));
        mr_buf_put(&form->body, bytes.data, bytes.size);
        return;
    }
    mr_buf_put(&form->body, "\"", 1);
    mr_base64_encode(bytes, &form->body);
    mr_buf_put(&form->body, "\"", 1);
}

void
form_int(struct form *form, const char *name, int64_t number)
{
    MR_ASSERT(number >= 0);
    put_name(form, name);
    if (form->is_cbor)
        put_cbor_uint(form, (uint64_t)number);
    else
        reply_put_number(&form->body, number);
}

void
form_bool(struct form *form, const char *name, bool is_true)
{
    unsigned char head[HEAD_BYTES];
    put_name(form, name);
    if (form->is_cbor)
        put_head(form, head, cbor_encode_bool(is_true, head, sizeof(head)));
    else
        mr_buf_text(&form->body, is_true ? "true" : "false");
}

void
form_time(struct form *form, const char *name, int64_t time_ms)
{
    unsigned char head[HEAD_BYTES];
    int64_t time = time_ms > 0 ? time_ms : 0; /* Kafka's -1: not known */
    put_name(form, name);
    if (form->is_cbor) {
        put_head(form, head, cbor_encode_tag(TIME_TAG, head, sizeof(head)));
        put_cbor_uint(form, (uint64_t)time);
    } else {
        mr_buf_printf(&form->body, "%lld.%03d", (long long)(time / 1000), (int)(time % 1000));
    }
}
