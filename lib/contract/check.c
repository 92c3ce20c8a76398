/*
 * From a raw value to a verdict: wrappings are taken off, the object inside is transcoded, and
 * what cannot be used is given its reason. The fast path crosses the bytes once; only an event that
 * breaks a rule is crossed again, so that a value that is no JSON is always called that, whichever
 * rule it broke before.
 */
#include "contract/private.h"

enum { LEVELS_MAX = 3 };

/* ---- wrappings: a text of JSON, a list of one object, {"value": ..} ---- */

/* May this object be a record around the event? Cheap: looks at the first name only. */
static bool
may_be_record(struct mr_json in)
{
    static const struct mr_slice names[] = { MR_SLICE("\"value\""), MR_SLICE("\"key\""),
                                             MR_SLICE("\"partition\"") };
    in.at++;
    if (mr_json_peek(&in) != '"')
        return false;
    for (size_t i = 0; i < MR_COUNT(names); i++)
        if ((size_t)(in.end - in.at) >= names[i].size &&
            memcmp(in.at, names[i].data, names[i].size) == 0)
            return true;
    return false;
}

/* Is this object {"value": ..}, perhaps with a key and a partition as in a record of the REST
 * proxy, while the kind has no such field? Then *ret is the value. */
static bool
is_record(const struct mr_kind *kind, struct mr_json in, struct mr_json *ret)
{
    unsigned char c = ',';
    bool found = false;
    if (!may_be_record(in) || mr_plan_find(&kind->private_->input, MR_SLICE("value")) != NULL)
        return false;
    for (in.at++, in.depth++; c == ','; in.at++) {
        struct mr_json_text name;
        if (mr_json_peek(&in) != '"' || !mr_json_string(&in, &name) || !mr_json_colon(&in))
            return false;
        (void)mr_json_peek(&in);
        const char *from = in.at;
        if (!mr_json_skip(&in))
            return false;
        bool is_value = mr_slice_is_text(name.raw, "value");
        if (is_value
                ? found
                : !mr_slice_is_text(name.raw, "key") && !mr_slice_is_text(name.raw, "partition"))
            return false;
        if (is_value)
            *ret = (struct mr_json){ .at = from, .end = in.at };
        found = found || is_value;
        c = mr_json_peek(&in);
    }
    return c == '}' && found && mr_json_end(&in);
}

static bool
open_list(struct mr_check *check, struct mr_json *ret)
{
    struct mr_json *in = &check->in;
    in->at++;
    unsigned char first = mr_json_peek(in);
    if (first == ']')
        return mr_refuse_whole(check, MR_DEAD(NOT_ONE_OBJECT),
                               "the list is empty: send one object a record");
    if (first != '{')
        return mr_refuse_whole(check, MR_DEAD(NOT_ONE_OBJECT),
                               "the list holds no object: send one object a record");
    const char *from = in->at;
    in->depth++;
    if (!mr_json_skip(in))
        return false;
    *ret = (struct mr_json){ .at = from, .end = in->at };
    if (mr_json_peek(in) != ']')
        return mr_refuse_whole(check, MR_DEAD(NOT_ONE_OBJECT),
                               "the list holds several values: send one object a record");
    in->at++;
    return mr_json_end(in);
}

static bool
open_text(struct mr_check *check, struct mr_buf *plain, struct mr_json *ret)
{
    struct mr_json_text text;
    if (!mr_json_string(&check->in, &text) || !mr_json_end(&check->in))
        return false;
    plain->max = text.raw.size;
    mr_buf_reset(plain);
    char *room = mr_buf_extend(plain, text.raw.size);
    MR_ASSERT(room != NULL);
    *ret = (struct mr_json){ .at = room, .end = room + mr_json_unescape(&text, room) };
    struct mr_json look = *ret;
    unsigned char c = mr_json_peek(&look);
    if (c != '{' && c != '[' && c != '"')
        return mr_refuse_whole(check, MR_DEAD(NOT_ONE_OBJECT),
                               "plain text is no event: send one JSON object");
    return true;
}

/* Takes wrappings off until check->in is the object. plain: where texts are written out, by turns,
 * since the next text may stand in the last one. */
static bool
unwrap(struct mr_check *check, struct mr_buf plain[2])
{
    for (int level = 0;; level++) {
        struct mr_json inner;
        unsigned char c = mr_json_peek(&check->in);
        if (c == '{' && !is_record(check->kind, check->in, &inner))
            return true;
        if (c == '[' || c == '"') {
            if (!(c == '[' ? open_list(check, &inner)
                           : open_text(check, &plain[level % 2], &inner)))
                return false;
        } else if (c != '{') {
            return mr_refuse_whole(check, MR_DEAD(NOT_ONE_OBJECT),
                                   "no event: send one JSON object, { .. }");
        }
        if (level == LEVELS_MAX)
            return mr_refuse_whole(check, MR_DEAD(NOT_ONE_OBJECT),
                                   "more than %d wrappings stand around the object: send it plain",
                                   LEVELS_MAX);
        check->in = inner;
        check->start = check->from = inner.at;
    }
}

/* ---- the verdict ---- */

/* The verdict on what was refused: bad syntax goes before any broken rule. */
static void
settle_verdict(struct mr_check *check)
{
    struct mr_json again = { .at = check->start, .end = check->in.end };
    if (check->in.code != 0)
        (void)mr_refuse_syntax(check, &check->in, check->start);
    else if (!mr_json_skip(&again) || !mr_json_end(&again))
        (void)mr_refuse_syntax(check, &again, check->start);
}

int
mr_contract_check(const struct mr_kind *kind, struct mr_slice json, struct mr_buf *record,
                  struct mr_buf *key_text, struct mr_verdict *verdict)
{
    MR_ASSERT(kind != NULL && json.size <= PTRDIFF_MAX);
    const char *start = json.size > 0 ? json.data : "";
    struct mr_check check = { .kind = kind,
                              .in = { .at = start, .end = start + json.size },
                              .record = record,
                              .key_text = key_text,
                              .verdict = verdict,
                              .start = start,
                              .from = start,
                              .element = -1 };
    struct mr_buf plain[2] = { 0 };

    mr_buf_reset(record);
    mr_buf_reset(key_text);
    if (json.size == 0) {
        (void)mr_refuse_whole(&check, MR_DEAD(EMPTY), "the value is empty: send one JSON object");
        return 1;
    }
    bool good = unwrap(&check, plain) && mr_transcode(&check);
    MR_ASSERT(!good || (!record->failed && !key_text->failed));
    if (!good) {
        settle_verdict(&check);
        mr_buf_reset(record);
        mr_buf_reset(key_text);
    }
    mr_buf_fini(&check.kept);
    mr_buf_fini(&plain[0]);
    mr_buf_fini(&plain[1]);
    return good ? 0 : 1;
}
