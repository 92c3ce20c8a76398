/*
 * The rules, as questions: each names what breaks it, and holds when it names nothing. What a stage
 * had not committed when the marks were taken is in flight and breaks nothing.
 */
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHOWN_MAX = 5, TEXT_BYTES_MAX = 1 << 20 };

/* $W is the window of repeats, $T the raw topic. */
static const char *const views[] = {
    "CREATE VIEW raw_at AS SELECT raw.*, o < marks.handled AS handled FROM raw "
    "JOIN marks USING (p) WHERE topic = ''",
    "CREATE VIEW valid_at AS SELECT valid.*, o < marks.handled AS handled FROM valid "
    "JOIN marks USING (p) WHERE topic = '.valid'",
    /* the first of an id within reach decides what a later one is (LAW 5) */
    "CREATE VIEW seen AS SELECT p, o, value_hash, first_value(value_hash) OVER (PARTITION BY p, id "
    "ORDER BY o RANGE BETWEEN $W PRECEDING AND 1 PRECEDING) AS earlier FROM raw "
    "WHERE id IS NOT NULL",
    "CREATE VIEW again AS SELECT p, o, earlier = value_hash AS same FROM seen "
    "WHERE earlier IS NOT NULL",
    "CREATE VIEW judged AS SELECT op, oo, 'valid' AS what FROM valid UNION ALL "
    "SELECT op, oo, 'dead' FROM dead WHERE stage = 'validator'",
    "CREATE VIEW cleaned AS SELECT op, oo FROM clean UNION ALL "
    "SELECT op, oo FROM dead WHERE stage = 'cleaner'",
    "CREATE VIEW ends AS SELECT topic, p, max(next) AS stop FROM commits GROUP BY topic, p",
    "CREATE VIEW committed AS SELECT clean.*, version FROM clean JOIN commits ON "
    "topic = '$T.clean' AND commits.p = clean.p AND o >= start AND o < next",
    "CREATE VIEW letters AS SELECT dead.* FROM dead JOIN ends ON "
    "topic = '$T.dead' AND ends.p = dead.p AND o < stop",
    "CREATE VIEW firsts AS SELECT k, min(version) AS version FROM committed GROUP BY k",
};

enum rule { ALWAYS, KEEP_FIRST, KEEP_ALL };

static const struct check {
    const char *text;
    enum rule rule;
    const char *sql; /* one column of text for each place that breaks it */
} checks[] = {
    { "the validator gives each record of T one outcome", ALWAYS,
      "SELECT format('$T part {} offset {}: {} outcomes', op, oo, count(*)) FROM judged "
      "GROUP BY op, oo HAVING count(*) > 1 ORDER BY op, oo" },
    { "no outcome of the validator is without its record", ALWAYS,
      "SELECT format('$T part {} offset {}: {} without a record', op, oo, what) FROM judged "
      "JOIN marks ON topic = '' AND marks.p = op WHERE oo >= log_start AND NOT EXISTS "
      "(SELECT 1 FROM raw WHERE raw.p = op AND raw.o = oo) ORDER BY op, oo" },
    { "a record without outcome is a repeat", ALWAYS,
      "SELECT format('$T part {} offset {}: lost', p, o) FROM raw_at AS r WHERE handled AND "
      "NOT EXISTS (SELECT 1 FROM judged WHERE op = r.p AND oo = r.o) AND NOT EXISTS "
      "(SELECT 1 FROM again AS a WHERE a.p = r.p AND a.o = r.o AND same) ORDER BY p, o" },
    { "a repeat has no outcome", ALWAYS,
      "SELECT format('$T part {} offset {}: doubled, the same id and value stands before', p, o) "
      "FROM again AS a WHERE same AND EXISTS (SELECT 1 FROM judged WHERE op = a.p AND oo = a.o) "
      "ORDER BY p, o" },
    { "an id that comes again with another value is dead", ALWAYS,
      "SELECT format('$T part {} offset {}: passed under an id that was used before', p, o) "
      "FROM again AS a WHERE NOT same AND EXISTS "
      "(SELECT 1 FROM valid WHERE op = a.p AND oo = a.o) ORDER BY p, o" },
    { "values are what the gateway stored", ALWAYS,
      "SELECT format('$T part {} offset {}: changed since it was posted', p, o) FROM raw "
      "WHERE NOT header_ok ORDER BY p, o" },
    { "the cleaner gives each event one outcome", ALWAYS,
      "SELECT format('$T part {} offset {}: {} outcomes of the cleaner', op, oo, count(*)) "
      "FROM cleaned GROUP BY op, oo HAVING count(*) > 1 ORDER BY op, oo" },
    { "no outcome of the cleaner is without its event", ALWAYS,
      "SELECT format('$T part {} offset {}: cleaned, but not in $T.valid', op, oo) FROM cleaned "
      "AS c WHERE NOT EXISTS (SELECT 1 FROM valid AS v WHERE v.op = c.op AND v.oo = c.oo) AND "
      "NOT EXISTS (SELECT 1 FROM marks WHERE topic = '.valid' AND log_start > 0) ORDER BY op, oo" },
    { "each event of T.valid is cleaned or dead", ALWAYS,
      "SELECT format('$T part {} offset {}: lost behind $T.valid part {} offset {}', op, oo, p, o) "
      "FROM valid_at AS v WHERE handled AND NOT EXISTS "
      "(SELECT 1 FROM cleaned AS c WHERE c.op = v.op AND c.oo = v.oo) ORDER BY op, oo" },
    { "raw objects follow each other without gap or overlap", ALWAYS,
      "SELECT format('$T part {}: object {} begins at {}, the one before ended at {}', p, first, "
      "start, earlier) FROM (SELECT *, lag(next) OVER (PARTITION BY p ORDER BY first) AS earlier "
      "FROM ranges) WHERE start <> earlier ORDER BY p, first" },
    { "raw objects are as long as they say, and unchanged", ALWAYS,
      "SELECT format('$T part {}: object {} holds {} lines of {}{}', p, first, lines, "
      "next - first, CASE WHEN sha_ok THEN '' ELSE ' and was changed' END) FROM ranges "
      "WHERE lines <> next - first OR NOT sha_ok OR start > first ORDER BY p, first" },
    { "each record stands in the objects once", ALWAYS,
      "SELECT format('$T part {} offset {}: in {} objects', p, o, count(*)) FROM objects "
      "GROUP BY p, o HAVING count(*) > 1 ORDER BY p, o" },
    { "no record is missing in the objects", ALWAYS,
      "SELECT format('$T part {} offset {}: not in the objects', raw.p, o) FROM raw JOIN marks "
      "USING (p) LEFT JOIN (SELECT p, max(next) AS next FROM ranges GROUP BY p) AS r USING (p) "
      "WHERE topic = '' AND o < greatest(coalesce(next, 0), archived) AND NOT EXISTS "
      "(SELECT 1 FROM objects AS l WHERE l.p = raw.p AND l.o = raw.o) ORDER BY p, o" },
    { "each line of the objects is its record", ALWAYS,
      "SELECT format('$T part {} offset {}: its line in the objects is another', p, o) FROM raw "
      "JOIN objects AS l USING (p, o) WHERE NOT CASE WHEN tombstone THEN is_null "
      "WHEN wrapped IS NOT NULL AND wrapped = value_hash THEN true ELSE l.line = raw.line END "
      "ORDER BY p, o" },
    { "no line of the objects is without its record", ALWAYS,
      "SELECT format('$T part {} offset {}: in the objects only', p, o) FROM objects AS l JOIN "
      "marks USING (p) WHERE topic = '' AND o >= log_start AND NOT EXISTS "
      "(SELECT 1 FROM raw WHERE raw.p = l.p AND raw.o = l.o) ORDER BY p, o" },
    { "commits follow each other without gap or overlap", ALWAYS,
      "SELECT format('{} part {}: commit {} begins at {}, the one before ended at {}', topic, p, "
      "version, start, earlier) FROM (SELECT *, lag(next) OVER (PARTITION BY topic, p "
      "ORDER BY version) AS earlier FROM commits) WHERE start <> earlier ORDER BY topic, p, "
      "start" },
    { "what the archiver has taken from T.clean is in commits", ALWAYS,
      "SELECT format('$T.clean part {} offset {}: in no commit', c.p, o) FROM clean AS c JOIN "
      "marks AS m ON m.topic = '.clean' AND m.p = c.p WHERE o < archived AND NOT EXISTS "
      "(SELECT 1 FROM committed AS k WHERE k.p = c.p AND k.o = c.o) ORDER BY c.p, o" },
    { "each commit holds the records that it counts", ALWAYS,
      "SELECT format('$T.clean part {}: commit {} counts {} of [{}, {}), which holds {}', p, "
      "version, good + repeated, start, next, held) FROM (SELECT c.*, (SELECT count(*) FROM clean "
      "WHERE clean.p = c.p AND o >= start AND o < next) AS held FROM commits AS c JOIN marks AS m "
      "ON m.topic = '.clean' AND m.p = c.p WHERE c.topic = '$T.clean' AND start >= log_start) "
      "WHERE held <> good + repeated ORDER BY p, start" },
    { "the table has as many rows as its commits count", ALWAYS,
      "SELECT format('{} rows, counted {}', held, counted) FROM (SELECT (SELECT count(*) FROM "
      "kept) AS held, coalesce(sum(good), 0) AS counted FROM commits WHERE topic = '$T.clean') "
      "WHERE held <> counted" },
    { "the table keeps each key once", KEEP_FIRST,
      "SELECT format('a key is kept {} times (hash {})', count(*), k) FROM kept GROUP BY k "
      "HAVING count(*) > 1 ORDER BY k" },
    { "the table keeps each key that came", KEEP_FIRST,
      "SELECT format('$T.clean part {} offset {}: its key is not in the table', min(p), min(o)) "
      "FROM committed AS c WHERE NOT EXISTS (SELECT 1 FROM kept WHERE kept.k = c.k) GROUP BY k "
      "ORDER BY 1" },
    { "each row of the table is the first of its key", KEEP_FIRST,
      "SELECT format('a row is not what came first under its key (hash {})', k) FROM kept WHERE "
      "NOT EXISTS (SELECT 1 FROM committed AS c JOIN firsts AS f ON f.k = c.k AND "
      "f.version = c.version WHERE c.k = kept.k AND c.h = kept.h) AND NOT EXISTS "
      "(SELECT 1 FROM marks WHERE topic = '.clean' AND log_start > 0) ORDER BY k" },
    { "the table's rows are the events of T.clean", KEEP_ALL,
      "SELECT format('a row is in the table {} times and in $T.clean {} times (hash {})', "
      "coalesce(a.n, 0), coalesce(b.n, 0), coalesce(a.h, b.h)) FROM (SELECT h, count(*) AS n FROM "
      "kept GROUP BY h) AS a FULL JOIN (SELECT h, count(*) AS n FROM committed GROUP BY h) AS b "
      "USING (h) WHERE a.n IS DISTINCT FROM b.n" },
    { "the table of dead letters holds T.dead", ALWAYS,
      "SELECT format('a dead letter is in the table {} times and in $T.dead {} times (hash {})', "
      "coalesce(a.n, 0), coalesce(b.n, 0), coalesce(a.h, b.h)) FROM (SELECT h, count(*) AS n FROM "
      "kept_dead GROUP BY h) AS a FULL JOIN (SELECT h, count(*) AS n FROM letters GROUP BY h) AS b "
      "USING (h) WHERE a.n IS DISTINCT FROM b.n AND NOT EXISTS (SELECT 1 FROM marks WHERE "
      "topic = '.dead' AND log_start > 0)" },
};

/* archive: the raw objects; archiver: the table. */
static const struct law {
    const char *stage, *sql; /* in, good, repeated, dead, in flight */
} laws[] = {
    { "archive",
      "SELECT count(*), count(l.p), 0, 0, count(*) FILTER (l.p IS NULL AND "
      "o >= greatest(coalesce(next, 0), archived)) FROM raw JOIN marks USING (p) LEFT JOIN "
      "(SELECT DISTINCT p, o FROM objects) AS l USING (p, o) LEFT JOIN (SELECT p, max(next) AS "
      "next "
      "FROM ranges GROUP BY p) AS r USING (p) WHERE topic = ''" },
    { "validator",
      "SELECT count(*), count(*) FILTER (handled AND what = 'valid'), count(*) FILTER (handled AND "
      "what IS NULL AND same), count(*) FILTER (handled AND what = 'dead'), "
      "count(*) FILTER (NOT handled) FROM raw_at AS r LEFT JOIN judged ON op = r.p AND oo = r.o "
      "LEFT JOIN again AS a ON a.p = r.p AND a.o = r.o" },
    { "cleaner",
      "SELECT count(*), count(*) FILTER (handled AND c.op IS NOT NULL), 0, count(*) FILTER "
      "(handled AND d.op IS NOT NULL), count(*) FILTER (NOT handled) FROM valid_at AS v "
      "LEFT JOIN clean AS c ON c.op = v.op AND c.oo = v.oo LEFT JOIN (SELECT op, oo FROM dead "
      "WHERE stage = 'cleaner') AS d ON d.op = v.op AND d.oo = v.oo" },
    { "archiver",
      "SELECT a, k, c - k, 0, a - c FROM (SELECT (SELECT count(*) FROM clean) AS a, (SELECT "
      "count(*) FROM committed) AS c, (SELECT count(*) FROM kept) AS k)" },
};

/* ---- asking ---- */

/* text with $T and $W filled in. */
static char *
fill(const struct verify *v, const struct check_options *options, const char *text)
{
    struct mr_buf buf;
    mr_buf_init(&buf, TEXT_BYTES_MAX);
    for (const char *at = text; *at != '\0'; at++) {
        if (at[0] == '$' && at[1] == 'T')
            mr_buf_text(&buf, v->topics[MR_TOPIC_RAW]);
        else if (at[0] == '$' && at[1] == 'W')
            mr_buf_printf(&buf, "%" PRId64, options->repeat_window);
        else {
            mr_buf_put(&buf, at, 1);
            continue;
        }
        at++;
    }
    char *ret = mr_strndup(buf.data, buf.size);
    mr_buf_fini(&buf);
    return ret;
}

/* Calls take for each row of the answer. */
static int
ask(struct verify *v, const struct check_options *options, const char *text,
    void (*take)(void *self, const struct mr_columns *rows, size_t row), void *self,
    struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *sql = fill(v, options, text);
    MR_CLEANUP(mr_statement_closep) struct mr_statement *statement = NULL;
    MR_CLEANUP(mr_result_closep) struct mr_result *result = NULL;
    if (mr_sql_prepare(v->ground.sql, sql, &statement, err) != 0)
        return err->code;
    MR_CLEANUP(mr_columns_freep)
    struct mr_columns *rows = mr_columns_new(mr_statement_schema(statement));
    if (mr_statement_run(statement, &result, err) != 0)
        return err->code;
    for (int count; (count = mr_result_next(result, rows, err)) != 0; mr_columns_reset(rows)) {
        if (count < 0)
            return err->code;
        for (size_t row = 0; row < rows->rows; row++)
            take(self, rows, row);
    }
    return 0;
}

struct found {
    bool json;
    size_t count;
};

static void
take_place(void *self, const struct mr_columns *rows, size_t row)
{
    struct found *found = self;
    struct mr_slice text = mr_column_text(&rows->columns[0], row);
    if (found->count++ >= SHOWN_MAX)
        return;
    if (!found->json) {
        printf("      %.*s\n", (int)text.size, (const char *)text.data);
        return;
    }
    MR_CLEANUP(mr_buf_fini) struct mr_buf line;
    mr_buf_init(&line, TEXT_BYTES_MAX);
    mr_buf_json(&line, text);
    printf("%s%.*s", found->count > 1 ? "," : "", (int)line.size, line.data);
}

static int
run_check(struct verify *v, const struct check_options *options, const struct check *check,
          bool *ret_holds, struct mr_err *err)
{
    struct found found = { .json = options->json };
    MR_CLEANUP(mr_freep) char *text = fill(v, options, check->text);
    if (options->json)
        printf("{\"rule\":\"%s\",\"places\":[", text);
    if (ask(v, options, check->sql, take_place, &found, err) != 0)
        return mr_fail_in(err, "%s", text);
    if (options->json)
        printf("],\"broken\":%zu}", found.count);
    else if (found.count > 0)
        printf("  BROKEN %s: %zu\n", text, found.count);
    *ret_holds = *ret_holds && found.count == 0;
    return 0;
}

static void
take_law(void *self, const struct mr_columns *rows, size_t row)
{
    int64_t *numbers = self;
    for (size_t i = 0; i < 5; i++)
        numbers[i] = mr_column_int(&rows->columns[i], row);
}

static int
run_law(struct verify *v, const struct check_options *options, const struct law *law,
        bool *ret_holds, struct mr_err *err)
{
    int64_t n[5] = { 0 };
    if (ask(v, options, law->sql, take_law, n, err) != 0)
        return mr_fail_in(err, "%s", law->stage);
    bool holds = n[0] == n[1] + n[2] + n[3] + n[4];
    if (options->json)
        printf("{\"tenant\":\"%s\",\"kind\":\"%s\",\"stage\":\"%s\",\"in\":%" PRId64
               ",\"good\":%" PRId64 ",\"repeated\":%" PRId64 ",\"dead\":%" PRId64
               ",\"in_flight\":%" PRId64 ",\"holds\":%s}",
               v->tenant, v->kind->name, law->stage, n[0], n[1], n[2], n[3], n[4],
               holds ? "true" : "false");
    else
        printf("%-14s %-8s %-10s %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64
               "  %s\n",
               v->tenant, v->kind->name, law->stage, n[0], n[1], n[2], n[3], n[4],
               holds ? "holds" : "BROKEN");
    *ret_holds = *ret_holds && holds;
    return 0;
}

int
check_all(struct verify *v, const struct check_options *options, bool *ret_holds,
          struct mr_err *err)
{
    enum rule kept = v->kind->duplicates == MR_KEEP_FIRST ? KEEP_FIRST : KEEP_ALL;
    size_t asked = 0;
    for (size_t i = 0; i < MR_COUNT(views); i++) {
        MR_CLEANUP(mr_freep) char *view = fill(v, options, views[i]);
        if (mr_sql_execute(v->ground.sql, view, err) != 0)
            return err->code;
    }
    for (size_t i = 0; i < MR_COUNT(laws); i++) {
        printf("%s", options->json && i > 0 ? "," : "");
        if (run_law(v, options, &laws[i], ret_holds, err) != 0)
            return err->code;
    }
    printf("%s", options->json ? "],\"rules\":[" : "");
    for (size_t i = 0; i < MR_COUNT(checks); i++) {
        if (checks[i].rule != ALWAYS && checks[i].rule != kept)
            continue;
        printf("%s", options->json && asked++ > 0 ? "," : "");
        if (run_check(v, options, &checks[i], ret_holds, err) != 0)
            return err->code;
    }
    return 0;
}
