/*
 * contract: what each kind of event must look like, read at run time from one folder a kind.
 *
 *   DIR/<kind>/<kind>.binpb  FileDescriptorSet with imports, made by tools/kinds from <kind>.proto
 *   DIR/<kind>/clean.sql     one SELECT (see services/cleaner)
 *
 * The message that carries option (millrace.v1.kind) is what may come in; the one that it names as
 * output is what comes out. JSON becomes protobuf in one pass over the bytes, driven by the
 * descriptor; no tree is built. Messages hold scalars and lists of scalars (proto3, each optional
 * or repeated); a nested or recursive message type, and an option that nobody would obey, is
 * refused at open. A key must be required.
 *
 * A set of contracts is read-only after open and replaced whole. Threads: any number may read.
 */
#ifndef MR_CONTRACT_H
#define MR_CONTRACT_H

#include "base/base.h"
#include "columns/columns.h"

struct mr_contracts;

enum mr_duplicates { MR_KEEP_FIRST, MR_KEEP_ALL };

struct mr_kind {
    const char *name;
    uint32_t version;        /* raised by every change (LAW 22) */
    const char *clean_sql;   /* text of clean.sql; never NULL */
    struct mr_schema input;  /* columns of relation <name> in clean.sql */
    struct mr_schema output; /* columns of the table, in order */
    int key_in, key_out;     /* the key's column in input and output; -1: this kind has no key */
    enum mr_duplicates duplicates;
    const struct mr_kind_private *private_;
};

int mr_contracts_open(const char *dir, struct mr_contracts **ret, struct mr_err *err);
void mr_contracts_close(struct mr_contracts *contracts);
void mr_contracts_closep(struct mr_contracts **contracts);
size_t mr_contracts_count(const struct mr_contracts *contracts);
const struct mr_kind *mr_contracts_at(const struct mr_contracts *contracts, size_t i); /* by name */
const struct mr_kind *mr_contracts_find(const struct mr_contracts *contracts, const char *kind);
/* May next replace now? Fields may be added; a removed field, a changed type or number, a changed
 * key, or any change without a higher version is refused, naming kind and field. */
int mr_contracts_compatible(const struct mr_contracts *now, const struct mr_contracts *next,
                            struct mr_err *err);

enum { MR_VERDICT_VALUE_MAX = 64, MR_VERDICT_FIELD_MAX = 128, MR_JSON_DEPTH_MAX = 64 };

/* Why an event is dead. code is a Millrace__V1__DeadCode of proto/millrace/v1/event.proto. */
struct mr_verdict {
    int code;
    char field[MR_VERDICT_FIELD_MAX + 1];     /* path as posted: "tag_list[3]"; "" = the whole */
    char rule[32];                            /* the option that was broken: "required", "max" */
    char value[MR_VERDICT_VALUE_MAX * 4 + 1]; /* offending bytes, first 64, made valid UTF-8 */
    char reason[256];                         /* one sentence for a person, names the fix */
};

/* For a verdict that the caller makes: value becomes the beginning of bytes, reason a text that is
 * cut between characters. */
void mr_verdict_show(struct mr_verdict *verdict, struct mr_slice bytes);
void mr_verdict_say(struct mr_verdict *verdict, const char *reason);

/* Judges one raw value. Returns 0: good, record holds the packed input message and key_text the
 * text of its key field (size 0 when the kind has none); 1: dead, verdict says why. Unwraps at most
 * 3 levels (JSON in a string, a list of exactly one object, {"value":{..}}). Reuses record and
 * key_text, whose maxima must allow twice the value's size. */
int mr_contract_check(const struct mr_kind *kind, struct mr_slice json, struct mr_buf *record,
                      struct mr_buf *key_text, struct mr_verdict *verdict);

enum mr_side { MR_INPUT, MR_OUTPUT };
/* A packed message of kind becomes one row. CORRUPT: not such a message (columns are unchanged).
 * An absent field is NULL, and so is an empty list: the wire cannot tell them apart. Fields with
 * numbers that the kind does not know are passed over. */
int mr_contract_decode(const struct mr_kind *kind, enum mr_side side, struct mr_slice record,
                       struct mr_columns *to, struct mr_err *err);
/* One row becomes a packed output message, appended to record. INVALID: a list holds a NULL. */
int mr_contract_encode(const struct mr_kind *kind, const struct mr_columns *from, size_t row,
                       struct mr_buf *record, struct mr_err *err);
/* Row as one JSON object with the output's field names, for check, tail and golden cases. */
void mr_contract_json(const struct mr_schema *schema, const struct mr_columns *from, size_t row,
                      struct mr_buf *ret_json);
/* The kind's reference page: fields, rules, options, as markdown. */
void mr_contract_reference(const struct mr_kind *kind, struct mr_buf *ret_markdown);

#endif
