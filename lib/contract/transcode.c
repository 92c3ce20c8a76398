/*
 * One object of JSON becomes one message of protobuf while its bytes are read: no tree, no second
 * buffer. Producers mostly send the fields in the declared order, so the next name is guessed
 * before it is looked up.
 */
#include "contract/private.h"

/* ---- names ---- */

static const struct mr_plan_field *
find(const struct mr_plan *plan, const struct mr_json_text *name)
{
    char plain[MR_FIELD_NAME_MAX * 6]; /* every letter may be spelled \uXXXX */
    if (!name->escaped)
        return mr_plan_find(plan, name->raw);
    if (name->raw.size > sizeof(plain))
        return NULL;
    return mr_plan_find(plan, mr_slice(plain, mr_json_unescape(name, plain)));
}

/* memcmp without the call: names are short, and this runs once for each field. */
static inline bool
is_guess(const char *at, const struct mr_plan_field *field)
{
    uint64_t a, b;
    size_t size = field->guess_size, i = 0;
    if (size < sizeof(a))
        return memcmp(at, field->guess, size) == 0;
    for (; i + sizeof(a) < size; i += sizeof(a)) {
        memcpy(&a, at + i, sizeof(a));
        memcpy(&b, field->guess + i, sizeof(b));
        if (a != b)
            return false;
    }
    memcpy(&a, at + size - sizeof(a), sizeof(a));
    memcpy(&b, field->guess + size - sizeof(b), sizeof(b));
    return a == b;
}

/* Takes the name and its colon. *ret is NULL for a name that the kind does not know. */
static bool
take_name(struct mr_check *check, const struct mr_plan_field **ret)
{
    const struct mr_plan *plan = &check->kind->private_->input;
    struct mr_json *in = &check->in;
    const struct mr_plan_field *guess = &plan->fields[check->next];

    if (mr_json_peek(in) != '"')
        return mr_json_fault(in, MR_DEAD(NOT_JSON), "a name in double quotes must stand here");
    if ((size_t)(in->end - in->at) >= guess->guess_size && is_guess(in->at, guess)) {
        check->name = mr_slice(in->at + 1, guess->guess_size - 3);
        in->at += guess->guess_size;
        *ret = guess;
        return true;
    }
    struct mr_json_text name;
    if (!mr_json_string(in, &name))
        return false;
    check->name = name.raw;
    *ret = find(plan, &name);
    return mr_json_colon(in);
}

/* ---- members ---- */

/* Appends the unknown member between from and the cursor to what is kept. */
static void
keep(struct mr_check *check, const char *from)
{
    if (check->kept.size == 0)
        mr_buf_init(&check->kept, (size_t)(check->in.end - from) + 2);
    mr_buf_text(&check->kept, check->kept.size == 0 ? "{" : ",");
    mr_buf_put(&check->kept, from, (size_t)(check->in.at - from));
}

static bool
take_unknown(struct mr_check *check)
{
    const struct mr_kind_private *rules = check->kind->private_;
    const char *name = (const char *)check->name.data - 1;
    (void)mr_json_peek(&check->in);
    check->from = check->in.at;
    if (!mr_json_skip(&check->in))
        return false;
    if (rules->unknown == MILLRACE__V1__UNKNOWN_FIELDS__REJECT)
        return mr_refuse(check, MR_DEAD(UNKNOWN_FIELD), "unknown_fields",
                         "is no field of kind %s: leave it out or correct its name",
                         check->kind->name);
    if (rules->unknown == MILLRACE__V1__UNKNOWN_FIELDS__KEEP)
        keep(check, name);
    return true;
}

static bool
take_member(struct mr_check *check)
{
    const struct mr_plan *plan = &check->kind->private_->input;
    const struct mr_plan_field *field = NULL;
    if (!take_name(check, &field))
        return false;
    if (field == NULL)
        return take_unknown(check);
    size_t i = (size_t)(field - plan->fields);
    uint64_t bit = (uint64_t)1 << (i % 64);
    size_t before = check->record->size;
    check->next = i + 1 < plan->count ? i + 1 : 0;
    if (mr_json_peek(&check->in) == 'n') {
        check->from = check->in.at;
        if (!mr_json_skip(&check->in))
            return false;
    } else if (!mr_put_value(check, field)) {
        return false;
    } else if (check->record->size > before) { /* an empty list is as absent */
        check->present[i / 64] |= bit;
    }
    if ((check->seen[i / 64] & bit) != 0)
        return mr_refuse(check, MR_DEAD(DUPLICATE_FIELD), "once",
                         "is sent twice (%s): send it once", field->column->name);
    check->seen[i / 64] |= bit;
    return true;
}

/* ---- the object ---- */

static bool
check_required(struct mr_check *check)
{
    const struct mr_plan *plan = &check->kind->private_->input;
    for (size_t w = 0; w < MR_PLAN_WORDS; w++) {
        uint64_t missing = plan->required[w] & ~check->present[w];
        if (missing == 0)
            continue;
        const struct mr_field *column =
            plan->fields[w * 64 + (size_t)__builtin_ctzll(missing)].column;
        check->name = mr_slice_text(column->name);
        check->from = check->in.at;
        return mr_refuse(check, MR_DEAD(MISSING_FIELD), "required",
                         "is missing or null: each %s must have it", check->kind->name);
    }
    return true;
}

/* What was kept becomes the text of its field, which cannot be sent by name. */
static bool
put_kept(struct mr_check *check)
{
    const struct mr_kind_private *rules = check->kind->private_;
    if (check->kept.size == 0)
        return true;
    const struct mr_plan_field *field = &rules->input.fields[rules->unknown_in];
    mr_buf_text(&check->kept, "}");
    check->name = mr_slice_text(field->column->name);
    struct mr_json_text text = { .raw = mr_buf_slice(&check->kept) };
    return mr_put_text(check, field, &text);
}

bool
mr_transcode(struct mr_check *check)
{
    struct mr_json *in = &check->in;
    MR_ASSERT(in->at < in->end && *in->at == '{');
    in->at++;
    in->depth = 1;
    unsigned char c = mr_json_peek(in);
    if (c == '}') {
        in->at++;
    } else {
        for (c = ','; c == ',';) {
            if (!take_member(check))
                return false;
            c = mr_json_peek(in);
            if (c != ',' && c != '}')
                return mr_json_fault(in, MR_DEAD(NOT_JSON), "a comma or } must follow the value");
            in->at++;
        }
    }
    return mr_json_end(in) && check_required(check) && put_kept(check);
}
