/*
 * The reference page of a kind: what may be posted and what the table holds, from the same plan
 * that judges, so that it cannot be wrong.
 */
#include "contract/private.h"

static const char *
wanted(const struct mr_plan_field *field)
{
    static const char *const words[MR_TYPE_COUNT] = {
        [MR_TYPE_BOOL] = "true or false",
        [MR_TYPE_INTEGER] = "whole number, 32 bits",
        [MR_TYPE_LONG] = "whole number",
        [MR_TYPE_DOUBLE] = "number",
        [MR_TYPE_STRING] = "text",
        [MR_TYPE_BINARY] = "text, base64",
        [MR_TYPE_TIMESTAMP] = "text, a time",
    };
    return words[field->column->type];
}

/* Text inside a table cell. */
static void
put_cell(struct mr_buf *to, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '|')
            mr_buf_text(to, "\\");
        mr_buf_put(to, at, 1);
    }
}

/* What stands between two rules of a cell. */
static void
separate(struct mr_buf *to, bool *any)
{
    mr_buf_text(to, *any ? "; " : "");
    *any = true;
}

static void
put_limits(struct mr_buf *to, const struct mr_plan_field *field, bool *any)
{
    if (field->has_min) {
        separate(to, any);
        mr_buf_printf(to, "at least %.15g", field->min);
    }
    if (field->has_max) {
        separate(to, any);
        mr_buf_printf(to, "at most %.15g", field->max);
    }
    if (field->length_max != 0) {
        separate(to, any);
        mr_buf_printf(to, "at most %u characters", field->length_max);
    }
}

static void
put_rules(struct mr_buf *to, const struct mr_plan_field *field)
{
    bool any = false;
    if (field->required) {
        separate(to, &any);
        mr_buf_text(to, "required");
    }
    for (size_t i = 0; i < field->aliases_count; i++) {
        separate(to, &any);
        mr_buf_printf(to, "also named `%s`", field->aliases[i]);
    }
    if (field->number_or_text) {
        separate(to, &any);
        mr_buf_text(to, field->column->type == MR_TYPE_STRING ? "a number is taken as its text"
                                                              : "may come as text");
    }
    put_limits(to, field, &any);
    if (field->pattern != NULL) {
        separate(to, &any);
        mr_buf_text(to, "looks like `");
        put_cell(to, field->pattern);
        mr_buf_text(to, "`");
    }
}

static void
put_input(struct mr_buf *to, const struct mr_kind *kind)
{
    const struct mr_kind_private *rules = kind->private_;
    mr_buf_text(to, "### What may be posted\n\n| field | JSON | rules |\n|---|---|---|\n");
    for (size_t i = 0; i < rules->input.count; i++) {
        const struct mr_plan_field *field = &rules->input.fields[i];
        if ((int)i == rules->unknown_in)
            continue;
        mr_buf_printf(to, "| `%s` | %s%s | ", field->column->name,
                      field->column->is_list ? "list of: " : "", wanted(field));
        put_rules(to, field);
        mr_buf_text(to, " |\n");
    }
    mr_buf_text(to, "\nA time is `YYYY-MM-DD hh:mm:ss`, `YYYY-MM-DDThh:mm:ss`, "
                    "`YYYY:MM:DD hh:mm:ss` or `MM/DD/YYYY, hh:mm:ss`, with up to 6 decimals and "
                    "`Z` or `+hh:mm`; without a zone it is UTC. `null` and `[]` are as absent. ");
    if (rules->unknown == MILLRACE__V1__UNKNOWN_FIELDS__REJECT)
        mr_buf_text(to, "Other fields are refused.\n");
    else if (rules->unknown == MILLRACE__V1__UNKNOWN_FIELDS__DROP)
        mr_buf_text(to, "Other fields are left out.\n");
    else
        mr_buf_printf(to, "Other fields are kept, as one JSON object in column `%s`.\n",
                      kind->input.fields[rules->unknown_in].name);
}

static void
put_output(struct mr_buf *to, const struct mr_kind *kind)
{
    mr_buf_printf(to, "\n### What the table holds\n\n| column | type |\n|---|---|\n");
    for (size_t i = 0; i < kind->output.count; i++) {
        const struct mr_field *column = &kind->output.fields[i];
        mr_buf_printf(to, column->is_list ? "| `%s` | array&lt;%s&gt; |\n" : "| `%s` | %s |\n",
                      column->name, mr_type_delta(column->type));
    }
    if (kind->key_out < 0)
        mr_buf_text(to, "\nThere is no key: every event is a row.\n");
    else
        mr_buf_printf(to, "\nKey: `%s` (posted as `%s`); %s.\n",
                      kind->output.fields[kind->key_out].name,
                      kind->input.fields[kind->key_in].name,
                      kind->duplicates == MR_KEEP_FIRST
                          ? "of equal keys the first stays, later ones count as repeated"
                          : "equal keys all stay");
    mr_buf_printf(to, "\n### How the one becomes the other\n\n```sql\n%s%s```\n", kind->clean_sql,
                  kind->clean_sql[strlen(kind->clean_sql) - 1] == '\n' ? "" : "\n");
}

void
mr_contract_reference(const struct mr_kind *kind, struct mr_buf *ret_markdown)
{
    mr_buf_printf(ret_markdown, "## Contract of %s, version %u\n\n", kind->name, kind->version);
    put_input(ret_markdown, kind);
    put_output(ret_markdown, kind);
}
