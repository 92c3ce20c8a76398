/*
 * What the files of contract share: the plan that a kind is read into, the lexical side of JSON,
 * and the writing of verdicts.
 */
#ifndef MR_CONTRACT_PRIVATE_H
#define MR_CONTRACT_PRIVATE_H

#include "contract/contract.h"

#include <google/protobuf/descriptor.pb-c.h>
#include <millrace/v1/event.pb-c.h>
#include <millrace/v1/options.pb-c.h>
#include <regex.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define MR_DEAD(name) MILLRACE__V1__DEAD_CODE__##name

/* ---- plan: one message, made for lookups ---- */

enum { MR_TAG_MAX = 5, MR_VARINT_MAX = 10, MR_PLAN_WORDS = MR_FIELDS_MAX / 64 };

struct mr_plan_field {
    const struct mr_field *column;
    const char *guess; /* the name with quotes and colon, as it mostly stands in JSON */
    size_t guess_size;
    uint32_t number;
    uint8_t tag[MR_TAG_MAX], tag_size; /* of a value, or of a whole packed list */
    bool required, number_or_text, has_min, has_max, is_key;
    double min, max;
    uint32_t length_max; /* code points; 0: none */
    const char **aliases;
    size_t aliases_count;
    const char *pattern; /* NULL: none */
    regex_t regex;       /* glibc locks it while it runs: threads may share it */
};

struct mr_plan_slot {
    const char *name; /* NULL: free */
    size_t size;
    uint32_t field;
};

struct mr_plan {
    struct mr_plan_field *fields;
    size_t count;
    struct mr_plan_slot *slots; /* names and aliases, open addressing */
    size_t slots_mask;
    uint64_t required[MR_PLAN_WORDS]; /* bit per field */
};

struct mr_kind_private {
    struct mr_plan input, output;
    Millrace__V1__UnknownFields unknown;
    int unknown_in;  /* KEEP: the input field that takes what is unknown; else -1 */
    uint64_t digest; /* of all that the contract says */
};

/* All memory comes from arena, but for patterns: mr_plan_fini, also of a half-read plan. */
int mr_plan_read(struct mr_plan *plan, struct mr_schema *ret_schema,
                 const Google__Protobuf__DescriptorProto *message, struct mr_arena *arena,
                 struct mr_err *err);
/* Names and aliases; the field hidden (-1: none) is known by none. */
int mr_plan_index(struct mr_plan *plan, int hidden, struct mr_arena *arena, struct mr_err *err);
void mr_plan_fini(struct mr_plan *plan);
const struct mr_plan_field *mr_plan_find(const struct mr_plan *plan, struct mr_slice name);
const struct mr_plan_field *mr_plan_numbered(const struct mr_plan *plan, uint32_t number);

/* Our options in a descriptor; *ret NULL: none. The caller frees. */
int mr_kind_options(const Google__Protobuf__DescriptorProto *message,
                    Millrace__V1__KindOptions **ret, struct mr_err *err);
int mr_field_options(const Google__Protobuf__FieldDescriptorProto *field,
                     Millrace__V1__FieldOptions **ret, struct mr_err *err);

/* Reads kind ret->name, whose clean_sql is set, from its descriptor set. */
int mr_kind_load(struct mr_slice descriptors, struct mr_arena *arena, struct mr_kind *ret,
                 struct mr_err *err);
void mr_kind_fini(struct mr_kind *kind); /* also of a half-loaded one */

/* Lists of numbers travel as one packed value, lists of text as one value an element. */
static inline bool
mr_plan_packed(const struct mr_plan_field *field)
{
    return field->column->is_list && field->column->type != MR_TYPE_STRING &&
           field->column->type != MR_TYPE_BINARY;
}

/* ---- JSON, lexically: strict RFC 8259 in UTF-8, no NUL, no lone surrogate ---- */

struct mr_json {
    const char *at, *end;
    int depth;        /* open lists and objects around at */
    int code;         /* MR_DEAD code of the fault that at stands on; 0: none */
    const char *what; /* a sentence about it */
};

struct mr_json_text {
    struct mr_slice raw; /* between the quotes */
    bool escaped;        /* raw holds escapes: see mr_json_unescape */
};

/* +-mantissa * 10^exponent, trailing zeros in the exponent. */
struct mr_json_number {
    struct mr_slice text;
    uint64_t mantissa;
    int64_t exponent;
    bool negative;
    bool is_plain; /* only digits, perhaps a minus: no point, no e */
    bool is_exact; /* mantissa holds all digits (at most 19) */
};

static inline unsigned char
mr_json_peek(struct mr_json *in) /* the next byte that is no blank; 0 at the end */
{
    const char *at = in->at; /* in a register: bytes read might be in itself for all C knows */
    unsigned char c = 0;
    for (; at < in->end; at++) {
        c = (unsigned char)*at;
        if (c > ' ' || (c != ' ' && c != '\n' && c != '\r' && c != '\t'))
            break;
    }
    in->at = at;
    return at < in->end ? c : 0;
}

/* Where a run of plain text ends: at a quote, a backslash, a control or what is not ASCII. */
static inline const char *
mr_json_plain(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    const __m128i blank = _mm_set1_epi8(' ');
    for (; end - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)at);
        /* Signed: bytes from 0x80 on are below the blank too. */
        __m128i ends = _mm_or_si128(
            _mm_cmplt_epi8(bytes, blank),
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
        unsigned mask = (unsigned)_mm_movemask_epi8(ends);
        if (mask != 0)
            return at + __builtin_ctz(mask);
    }
#else
    const uint64_t ones = 0x0101010101010101U;
    for (; end - at >= 8; at += 8) {
        uint64_t bytes;
        memcpy(&bytes, at, 8);
        uint64_t quote = (bytes ^ ones * '"') - ones;
        uint64_t backslash = (bytes ^ ones * '\\') - ones;
        if (((quote | backslash | (bytes - ones * ' ') | bytes) & ones * 0x80) != 0)
            break;
    }
#endif
    while (at < end && *at >= ' ' && (signed char)*at > 0 && *at != '"' && *at != '\\')
        at++;
    return at;
}

/* Each takes one thing at the cursor; false: code and what are set. */
bool mr_json_fault(struct mr_json *in, int code, const char *what); /* false */
bool mr_json_string(struct mr_json *in, struct mr_json_text *ret);
bool mr_json_number(struct mr_json *in, struct mr_json_number *ret);
bool mr_json_colon(struct mr_json *in);
bool mr_json_skip(struct mr_json *in); /* any value */
bool mr_json_end(struct mr_json *in);  /* nothing but blanks may follow */
/* Returns the bytes written; to has room for raw.size. */
size_t mr_json_unescape(const struct mr_json_text *text, char *to);

enum mr_fit { MR_FITS, MR_NOT_WHOLE, MR_TOO_BIG };
enum mr_fit mr_number_int(const struct mr_json_number *number, int64_t *ret);
/* text must be followed by a byte that is no part of a number. */
enum mr_fit mr_number_double(const struct mr_json_number *number, double *ret);

/* ---- times ---- */

enum { MR_TIME_TEXT_MAX = 79 }; /* 2017-10-19T15:13:42.123456Z, and any int64 */
bool mr_time_parse(struct mr_slice text, int64_t *ret_us);
void mr_time_format(int64_t us, char ret_text[MR_TIME_TEXT_MAX + 1]);

/* ---- wire ---- */

static inline uint8_t *
mr_wire_varint(uint8_t *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *to++ = (uint8_t)(value | 0x80);
    *to++ = (uint8_t)value;
    return to;
}

static inline size_t
mr_wire_varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

/* Doubles are copied as they stand in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "protobuf is little endian");

/* ---- one event on its way through check ---- */

struct mr_check {
    const struct mr_kind *kind;
    struct mr_json in;
    struct mr_buf *record, *key_text;
    struct mr_verdict *verdict;
    uint64_t seen[MR_PLAN_WORDS], present[MR_PLAN_WORDS];
    size_t next;          /* the field that mostly comes now */
    struct mr_slice name; /* of the field at hand, as posted */
    int64_t element;      /* of the list at hand; -1: none */
    const char *start;    /* of the JSON text at hand, wrappings taken off */
    const char *from;     /* where the value at hand begins */
    struct mr_buf kept;   /* unknown members, as posted */
};

/* The object at in becomes the message; false: in.code or verdict says why. */
bool mr_transcode(struct mr_check *check);
bool mr_put_value(struct mr_check *check, const struct mr_plan_field *field); /* at in */
bool mr_put_text(struct mr_check *check, const struct mr_plan_field *field,
                 const struct mr_json_text *text);

/* Fill the verdict, always false: about the field at hand (its name comes first in the reason),
 * about the whole value, about the syntax of what begins at start. */
bool mr_refuse(struct mr_check *check, int code, const char *rule, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool mr_refuse_whole(struct mr_check *check, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool mr_refuse_syntax(struct mr_check *check, const struct mr_json *in, const char *start);

#endif
