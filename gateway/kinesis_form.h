/*
 * kinesis_form: writes an answer in the coding of its request, JSON or CBOR.
 *
 *   form_open(&form, NULL, '{');
 *   form_text(&form, "StreamName", name);
 *   form_close(&form, '}');
 *
 * name is NULL for elements of lists and for the outermost value.
 */
#ifndef MR_KINESIS_FORM_H
#define MR_KINESIS_FORM_H

#include "base/base.h"

struct form {
    struct mr_buf body;
    bool is_cbor;
};
void form_init(struct form *form, bool is_cbor);
void form_fini(struct form *form);
void form_open(struct form *form, const char *name, char bracket); /* '{' or '[' */
void form_close(struct form *form, char bracket);                  /* '}' or ']' */
void form_text(struct form *form, const char *name, struct mr_slice utf8);
void form_bytes(struct form *form, const char *name, struct mr_slice bytes); /* base64 in JSON */
void form_int(struct form *form, const char *name, int64_t number);          /* not negative */
void form_bool(struct form *form, const char *name, bool is_true);
/* Seconds with their fraction in JSON, milliseconds in CBOR, as the service writes them. */
void form_time(struct form *form, const char *name, int64_t time_ms);

#endif
