/*
 * Questions to the dead tables. Filters are checked here before they become part of a statement, so
 * that a wrong one is told what would be right.
 *
 * The value of a field whose name sounds like a secret does not leave the server for a list.
 */
#include "cli/dead/dead.h"

#include <inttypes.h>
#include <stdio.h>

#include "millrace/v1/event.pb-c.h"

static const char columns[] =
    "tenant, kind, topic, \"partition\", \"offset\", dead_at, stage, code, field, rule, ";
static const char more_columns[] =
    ", reason, contract_version, event_id, received_at, traceparent, "
    "octet_length(original) AS original_bytes, attempts, first_dead_at, "
    "replayed_partition, replayed_offset, replayed_at";
static const char masked_value[] =
    "CASE WHEN regexp_matches(field, 'passw|secret|token|credential|authori[sz]ation|api_?key|"
    "private_?key', 'i') THEN '***' ELSE value END AS value";

/* ---- places ---- */

int
dead_place_parse(const char *text, struct dead_place *ret, struct mr_err *err)
{
    struct mr_topic_name name;
    const char *slash = strchr(text, '/');
    size_t size = slash != NULL ? (size_t)(slash - text) : 0;
    int end = 0;
    if (size > 0 && size <= MR_TOPIC_MAX) {
        memcpy(ret->topic, text, size);
        ret->topic[size] = '\0';
    }
    if (size == 0 || size > MR_TOPIC_MAX || !mr_topic_parse(ret->topic, &name) ||
        strspn(slash, "/0123456789") != strlen(slash) ||
        sscanf(slash, "/%9" SCNd32 "/%18" SCNd64 "%n", &ret->partition, &ret->offset, &end) != 2 ||
        slash[end] != '\0')
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "%s is no place of a letter: give TOPIC/PARTITION/OFFSET as millrace dead "
                       "list shows it",
                       text);
    return 0;
}

/* ---- filters ---- */

static int
check_code(const char *code, struct mr_err *err)
{
    const ProtobufCEnumDescriptor *codes = &millrace__v1__dead_code__descriptor;
    if (code[0] == '\0' || (protobuf_c_enum_descriptor_get_value_by_name(codes, code) != NULL &&
                            protobuf_c_enum_descriptor_get_value_by_name(codes, code)->value != 0))
        return 0;
    MR_CLEANUP(mr_buf_fini) struct mr_buf known;
    mr_buf_init(&known, MR_ERR_TEXT_MAX);
    for (unsigned i = 0; i < codes->n_values; i++)
        if (codes->values[i].value != 0)
            mr_buf_printf(&known, " %s", codes->values[i].name);
    return mr_fail(err, MR_E(INVALID), MR_FATAL, "--code %s is no code; there are%s", code,
                   known.data);
}

static void
put_time_filter(struct mr_buf *sql, const char *relation, int64_t us)
{
    mr_buf_printf(sql, " AND dead_at %s make_timestamp(%" PRId64 ")", relation, us);
}

static int
put_filters(const struct dead_options *options, struct mr_buf *sql, struct mr_err *err)
{
    int64_t us;
    if (options->kind[0] != '\0' && !mr_kind_ok(mr_slice_text(options->kind)))
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "--kind %s is no name of a kind",
                       options->kind);
    if (check_code(options->code, err) != 0)
        return err->code;
    mr_buf_text(sql, " WHERE true");
    if (options->kind[0] != '\0')
        mr_buf_printf(sql, " AND kind = '%s'", options->kind);
    if (options->code[0] != '\0')
        mr_buf_printf(sql, " AND code = '%s'", options->code);
    if (strcmp(options->stage, "any") != 0)
        mr_buf_printf(sql, " AND stage = '%s'", options->stage);
    if (options->since[0] != '\0') {
        if (cli_when("since", options->since, &us, err) != 0)
            return err->code;
        put_time_filter(sql, ">=", us);
    }
    if (options->until[0] != '\0') {
        if (cli_when("until", options->until, &us, err) != 0)
            return err->code;
        put_time_filter(sql, "<", us);
    }
    return 0;
}

/* ---- statements ---- */

static void
put_source(struct mr_buf *sql, const struct dead_source *source)
{
    MR_ASSERT(mr_tenant_ok(mr_slice_text(source->tenant)));
    mr_buf_printf(sql, "SELECT '%s' AS tenant, * FROM \"%s\"", source->tenant, source->table);
}

static void
put_sources(struct mr_buf *sql, const struct dead_source *sources, size_t count)
{
    MR_ASSERT(count > 0);
    mr_buf_text(sql, " FROM (");
    for (size_t i = 0; i < count; i++) {
        mr_buf_text(sql, i > 0 ? " UNION ALL BY NAME " : "");
        put_source(sql, &sources[i]);
    }
    mr_buf_text(sql, ")");
}

static int
finish(struct mr_buf *sql, struct mr_err *err)
{
    if (sql->failed)
        return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL,
                       "too many tenants for one question: give --tenant");
    return 0;
}

int
dead_sql_list(const struct dead_options *options, const struct dead_source *sources, size_t count,
              struct mr_buf *sql, struct mr_err *err)
{
    mr_buf_printf(sql, "SELECT %s%s%s", columns, masked_value, more_columns);
    put_sources(sql, sources, count);
    if (put_filters(options, sql, err) != 0)
        return err->code;
    mr_buf_printf(sql,
                  " ORDER BY dead_at DESC, topic, \"partition\", \"offset\" DESC LIMIT %" PRId64,
                  options->limit + 1);
    return finish(sql, err);
}

int
dead_sql_stats(const struct dead_options *options, const struct dead_source *sources, size_t count,
               struct mr_buf *sql, struct mr_err *err)
{
    mr_buf_text(sql, "SELECT tenant, kind, stage, code, "
                     "regexp_replace(field, '\\[[0-9]+\\]$', '[]') AS field, "
                     "count(*) AS letters, count(replayed_at) AS replayed, min(dead_at) AS first, "
                     "max(dead_at) AS last");
    put_sources(sql, sources, count);
    if (put_filters(options, sql, err) != 0)
        return err->code;
    mr_buf_printf(
        sql, " GROUP BY ALL ORDER BY letters DESC, tenant, kind, stage, code, field LIMIT %" PRId64,
        options->limit + 1);
    return finish(sql, err);
}

static void
put_place(struct mr_buf *sql, const struct dead_place *place)
{
    mr_buf_printf(sql,
                  " WHERE topic = '%s' AND \"partition\" = %" PRId32 " AND \"offset\" = %" PRId64,
                  place->topic, place->partition, place->offset);
}

void
dead_sql_show(const struct dead_source *source, const struct dead_place *place, struct mr_buf *sql)
{
    mr_buf_printf(sql, "SELECT %svalue%s", columns, more_columns);
    put_sources(sql, source, 1);
    put_place(sql, place);
    mr_buf_text(sql, " LIMIT 1");
}

void
dead_sql_original(const struct dead_source *source, const struct dead_place *place, int64_t from,
                  int64_t size, struct mr_buf *sql)
{
    mr_buf_printf(sql,
                  "SELECT array_slice(original, %" PRId64 ", %" PRId64 ") AS original FROM \"%s\"",
                  from + 1, from + size, source->table);
    put_place(sql, place);
    mr_buf_text(sql, " LIMIT 1");
}
