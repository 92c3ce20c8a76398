/*
 * The rules, as questions: each names what breaks it, and holds when it names nothing. What a stage
 * had not committed when the marks were taken is in flight and breaks nothing, unless it stays so.
 *
 * What is gone from a log cannot be asked for. A stage's outputs stand in the order of their
 * origins, in each partition those of one input partition, so whatever is behind the first one that
 * is left has left its outcome too, or was lost. Before it nothing is claimed, and said so (gaps).
 *
 * What stands before --since is given: it is read where it is needed and not judged.
 *
 * There may be far more facts than memory, so what has to be joined is asked slice by slice. The
 * facts themselves begin with all_; raw, valid, clean, dead, objects and again show the origins of
 * one slice, came, kept, letters and buried the keys of one, twins the ids of one. What is worked
 * out BEFORE stands there whole afterwards; DURING: only while its slice is asked; GATHER: first
 * the one, then the other.
 *
 * $T is the raw topic, $W the window of repeats, $K whether T.valid is chosen by a key, $N now and
 * $L how long something may be in flight, in ms; $A is behind all offsets and times.
 */
#include "verify.h"

#define SLICE_OF(o) o " >= getvariable('low') AND " o " < getvariable('high')"
#define PART_OF(k)  "abs(coalesce(" k ", 0) % getvariable('parts')) = getvariable('part')"

const struct view verify_views[] = {
    { "raw", "SELECT * FROM all_raw WHERE " SLICE_OF("o"), ONCE, PLAIN },
    { "valid", "SELECT * FROM all_valid WHERE " SLICE_OF("oo"), ONCE, PLAIN },
    { "clean", "SELECT * FROM all_clean WHERE " SLICE_OF("oo"), ONCE, PLAIN },
    { "dead", "SELECT * FROM all_dead WHERE " SLICE_OF("oo"), ONCE, PLAIN },
    { "marked", "SELECT * FROM all_dead WHERE stage = 'replay' AND " SLICE_OF("ro"), ONCE, PLAIN },
    { "objects", "SELECT * FROM all_objects WHERE " SLICE_OF("o"), ONCE, PLAIN },
    { "kept", "SELECT * FROM all_kept WHERE " PART_OF("k"), ONCE, PLAIN },
    { "buried", "SELECT * FROM all_kept_dead WHERE " PART_OF("h"), ONCE, PLAIN },
    { "raw_reads",
      "SELECT p, log_start, start, since, if(since > log_start, since, 0) AS given FROM reads "
      "WHERE topic = ''",
      ONCE, PLAIN },
    { "cut", "SELECT topic, p FROM reads WHERE log_start > 0 AND start = log_start AND topic <> ''",
      ONCE, PLAIN },
    { "ends",
      "SELECT c.topic, p, min(if(l.first = 0, 0, start)) AS start, max(next) AS stop FROM commits "
      "AS c LEFT JOIN logs AS l ON ends_with(c.topic, l.topic) GROUP BY c.topic, p",
      ONCE, PLAIN },
    /* dead letters that T.dead has lost stand in their table for ever */
    { "died",
      "SELECT p, op, oo, stage FROM dead UNION ALL SELECT NULL, op, oo, stage FROM all_kept_dead "
      "AS k WHERE " SLICE_OF("oo") " AND EXISTS (SELECT 1 FROM cut WHERE topic = '.dead') AND NOT "
                                   "EXISTS (SELECT 1 FROM dead AS d WHERE d.op = k.op AND d.oo = "
                                   "k.oo AND d.stage = k.stage)",
      ONCE, PLAIN },
    /* the validator */
    { "outcomes",
      "SELECT op, oo, what FROM (SELECT op, oo, 'valid' AS what FROM valid UNION ALL SELECT op, "
      "oo, 'dead' FROM died WHERE stage = 'validator') JOIN raw_reads AS r ON r.p = op "
      "WHERE oo >= since",
      ONCE, PLAIN },
    { "valid_first", "SELECT p, op, min(oo) AS oo, min(t) AS t FROM all_valid GROUP BY p, op", ONCE,
      BEFORE },
    { "reach",
      "SELECT r.p, CASE WHEN a.o IS NULL THEN since ELSE greatest(since, least(a.o, "
      "coalesce(b.o, $A))) END AS o FROM raw_reads AS r LEFT JOIN (SELECT s.p, "
      "max(coalesce(f.oo, $A)) AS o FROM raw_reads AS s JOIN cut AS q ON topic = '.valid' AND "
      "($K OR q.p = s.p) LEFT JOIN valid_first AS f ON f.p = q.p AND f.op = s.p GROUP BY s.p) AS a "
      "USING (p) LEFT JOIN (SELECT p, min(o) AS o FROM all_raw WHERE t > (SELECT "
      "max(coalesce(f.t, $A)) + 7200000 FROM cut AS q LEFT JOIN (SELECT p, min(t) AS t FROM "
      "valid_first GROUP BY p) AS f USING (p) WHERE topic = '.valid') GROUP BY p) AS b USING (p)",
      ONCE, BEFORE },
    /* the first of an id within reach decides what a later one is (LAW 5) */
    { "twins",
      "SELECT p, o, ia, ib, coalesce(rp, -1) AS rp, coalesce(ro, -1) AS ro, value_hash FROM "
      "all_raw "
      "WHERE ia IS NOT NULL AND " PART_OF("ia"),
      ONCE, PLAIN },
    { "all_again",
      "SELECT p, o, earlier = value_hash AS same FROM (SELECT p, o, value_hash, "
      "first_value(value_hash) OVER (PARTITION BY p, ia, ib, rp, ro ORDER BY o RANGE BETWEEN $W "
      "PRECEDING AND 1 PRECEDING) AS earlier FROM twins SEMI JOIN (SELECT p, ia, ib, rp, ro FROM "
      "twins GROUP BY p, ia, ib, rp, ro HAVING count(*) > 1) USING (p, ia, ib, rp, ro)) "
      "WHERE earlier IS NOT NULL",
      KEY, BEFORE },
    { "again", "SELECT * FROM all_again WHERE " SLICE_OF("o"), ONCE, PLAIN },
    { "judged",
      "SELECT raw.p, raw.o, t, raw.o < handled AS handled, raw.o >= reach.o AS known, "
      "ia IS NULL OR start = 0 OR raw.o >= start + $W AS whole, same, coalesce(valids, 0) AS "
      "valids, coalesce(deads, 0) AS deads FROM raw JOIN raw_reads USING (p) JOIN reach USING (p) "
      "JOIN marks ON marks.topic = '' AND marks.p = raw.p LEFT JOIN again AS a ON a.p = raw.p AND "
      "a.o = raw.o LEFT JOIN (SELECT op, oo, count(*) FILTER (what = 'valid') AS valids, "
      "count(*) FILTER (what = 'dead') AS deads FROM outcomes GROUP BY op, oo) AS j ON "
      "j.op = raw.p AND j.oo = raw.o WHERE raw.o >= since",
      ORIGIN, DURING },
    { "sure",
      "SELECT * FROM judged WHERE valids + deads > 0 OR (known AND (whole OR same OR NOT handled))",
      ONCE, PLAIN },
    /* the cleaner; events keep their partition and its order */
    { "met",
      "SELECT c.p, min(v.o) AS o FROM clean AS c SEMI JOIN (SELECT p FROM cut WHERE topic = "
      "'.clean') AS q USING (p) JOIN valid AS v ON v.p = c.p AND v.op = c.op AND v.oo = c.oo "
      "GROUP BY c.p",
      ORIGIN, BEFORE },
    { "clean_reach",
      "SELECT q.p, CASE WHEN n IS NULL THEN $A ELSE coalesce(m.o, 0) END AS o FROM cut AS q LEFT "
      "JOIN (SELECT p, count(*) AS n FROM all_clean GROUP BY p) USING (p) LEFT JOIN (SELECT p, "
      "min(o) AS o FROM met GROUP BY p) AS m USING (p) WHERE topic = '.clean'",
      ONCE, BEFORE },
    { "cleaned",
      "SELECT c.p, op, oo, what FROM (SELECT p, op, oo, 'clean' AS what FROM clean UNION ALL "
      "SELECT p, op, oo, 'dead' FROM died WHERE stage = 'cleaner') AS c JOIN raw_reads AS r ON "
      "r.p = op WHERE oo >= given",
      ONCE, PLAIN },
    { "washed",
      "SELECT v.p, v.o, v.op, v.oo, v.t, v.o < handled AS handled, v.o >= coalesce(f.o, 0) AS "
      "known, coalesce(cleans, 0) AS cleans, coalesce(deads, 0) AS deads FROM valid AS v JOIN "
      "marks AS m ON m.topic = '.valid' AND m.p = v.p JOIN raw_reads AS r ON r.p = v.op LEFT JOIN "
      "clean_reach AS f ON f.p = v.p LEFT JOIN (SELECT op, oo, count(*) FILTER (what = 'clean') AS "
      "cleans, count(*) FILTER (what = 'dead') AS deads FROM cleaned GROUP BY op, oo) AS c ON "
      "c.op = v.op AND c.oo = v.oo WHERE v.oo >= given",
      ORIGIN, DURING },
    /* the raw objects */
    { "stored",
      "SELECT raw.p, raw.o, t, coalesce(lines, 0) AS lines, raw.o >= greatest(coalesce(next, 0), "
      "archived) AS ahead FROM raw JOIN raw_reads USING (p) JOIN marks ON marks.topic = '' AND "
      "marks.p = raw.p LEFT JOIN (SELECT p, max(next) AS next FROM ranges GROUP BY p) AS r ON "
      "r.p = raw.p LEFT JOIN (SELECT p, o, count(*) AS lines FROM objects GROUP BY p, o) AS l ON "
      "l.p = raw.p AND l.o = raw.o WHERE raw.o >= since",
      ORIGIN, DURING },
    /* the tables: version NULL: in no commit; known: its commit would be known */
    { "placed",
      "SELECT c.p, c.o, c.t, c.k, c.h, if(c.o < m.next, m.version, NULL) AS version, c.oo >= given "
      "AS asked, c.o >= coalesce(e.start, 0) AS known FROM clean AS c JOIN raw_reads AS r ON "
      "r.p = c.op LEFT JOIN ends AS e ON e.topic = '$T.clean' AND e.p = c.p ASOF LEFT JOIN (SELECT "
      "* FROM commits WHERE topic = '$T.clean') AS m ON c.p = m.p AND c.o >= m.start",
      ORIGIN, BEFORE },
    { "came", "SELECT * FROM placed WHERE version IS NOT NULL AND " PART_OF("k"), ONCE, PLAIN },
    { "firsts", "SELECT k, min(version) AS version FROM came GROUP BY k", KEY, DURING },
    { "all_letters",
      "SELECT d.p, d.o, d.t, d.h, d.o < coalesce(stop, 0) AS is_in FROM dead AS d JOIN raw_reads "
      "AS r ON r.p = d.op LEFT JOIN ends AS e ON e.topic = '$T.dead' AND e.p = d.p "
      "WHERE oo >= given",
      ORIGIN, BEFORE },
    { "letters", "SELECT * FROM all_letters WHERE is_in AND " PART_OF("h"), ONCE, PLAIN },
    /* commits of which all records were read and are asked for */
    { "whole",
      "SELECT version FROM commits AS c JOIN reads AS r ON r.topic = '.clean' AND r.p = c.p WHERE "
      "c.topic = '$T.clean' GROUP BY version HAVING bool_and(c.start >= r.start) EXCEPT SELECT "
      "version FROM placed WHERE NOT asked",
      ONCE, BEFORE },
    { "plain", /* all of the table was read: nothing is gone, nothing is before --since */
      "SELECT (SELECT max(start) FROM reads WHERE topic = '.clean') = 0 AND (SELECT max(given) "
      "FROM "
      "raw_reads) = 0 AND (SELECT coalesce(max(first), 0) FROM logs WHERE topic = '.clean') = 0 AS "
      "holds",
      ONCE, PLAIN },
    /* what is in flight too long, and what nobody can know any more */
    { "loose",
      "SELECT topic, p, what, late, count(*) AS n, min(o) AS o, min(t) AS t FROM (SELECT '$T' AS "
      "topic, p, o, t, 'not in the objects' AS what, true AS late FROM stored WHERE lines = 0 AND "
      "ahead UNION ALL SELECT '$T', p, o, t, 'not handled by the validator', true FROM judged "
      "WHERE "
      "NOT handled UNION ALL SELECT '$T.valid', p, o, t, 'not handled by the cleaner', true FROM "
      "washed WHERE NOT handled UNION ALL SELECT '$T', p, o, t, 'what the validator made of them "
      "is "
      "gone from $T.valid', false FROM judged WHERE NOT known AND valids + deads = 0 AND handled "
      "AND same IS NOT TRUE UNION ALL SELECT '$T', p, o, t, 'repeats of what is gone from the log, "
      "or lost', false FROM judged WHERE known AND NOT whole AND handled AND valids + deads = 0 "
      "AND "
      "same IS NOT TRUE UNION ALL SELECT '$T.valid', p, o, t, 'what the cleaner made of them is "
      "gone from $T.clean', false FROM washed WHERE NOT known AND cleans + deads = 0 AND handled) "
      "WHERE NOT late OR t <= $N - $L GROUP BY ALL",
      ORIGIN, GATHER },
};

/* archive: the raw objects; archiver: the table. */
const struct law verify_laws[] = {
    { "archive", ORIGIN,
      "SELECT count(*), coalesce(sum(lines), 0)::BIGINT, 0, 0, "
      "count(*) FILTER (lines = 0 AND ahead) FROM stored" },
    { "validator", ORIGIN,
      "SELECT count(*), coalesce(sum(valids) FILTER (handled), 0)::BIGINT, count(*) "
      "FILTER (handled AND valids + deads = 0 AND same), coalesce(sum(deads) FILTER "
      "(handled), 0)::BIGINT, count(*) FILTER (NOT handled) FROM sure" },
    { "cleaner", ORIGIN,
      "SELECT count(*), coalesce(sum(cleans) FILTER (handled), 0)::BIGINT, 0, "
      "coalesce(sum(deads) FILTER (handled), 0)::BIGINT, count(*) FILTER (NOT handled) "
      "FROM washed WHERE known OR cleans + deads > 0" },
    { "archiver", ONCE,
      "SELECT c + f, if((SELECT holds FROM plain), (SELECT count(*) FROM all_kept), g), r, 0, f "
      "FROM (SELECT coalesce(sum(good), 0)::BIGINT AS g, coalesce(sum(repeated), 0)::BIGINT AS r "
      "FROM commits SEMI JOIN whole USING (version) WHERE topic = '$T.clean'), (SELECT count(*) AS "
      "c FROM placed SEMI JOIN whole USING (version)), (SELECT count(*) AS f FROM placed WHERE "
      "version IS NULL AND known AND asked)" },
};

const struct rule verify_rules[] = {
    { "the validator gives each record of T one outcome", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: {} outcomes', op, oo, count(*)) FROM outcomes "
      "GROUP BY op, oo HAVING count(*) > 1 ORDER BY op, oo" },
    { "no outcome of the validator is without its record", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: {} without a record', op, oo, what) FROM outcomes "
      "WHERE NOT EXISTS (SELECT 1 FROM raw WHERE raw.p = op AND raw.o = oo) ORDER BY op, oo" },
    { "a record without outcome is a repeat", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: lost', p, o) FROM sure WHERE handled AND "
      "valids + deads = 0 AND same IS NOT TRUE ORDER BY p, o" },
    { "a repeat has no outcome", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: doubled, the same id and value stands before', p, o) "
      "FROM judged WHERE whole AND same AND valids + deads > 0 ORDER BY p, o" },
    { "an id that comes again with another value is dead", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: passed under an id that was used before', p, o) "
      "FROM judged WHERE whole AND NOT same AND valids > 0 ORDER BY p, o" },
    { "values are what the gateway stored", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: changed since it was posted', p, o) FROM raw "
      "JOIN raw_reads USING (p) WHERE o >= since AND NOT header_ok ORDER BY p, o" },
    { "the cleaner gives each event one outcome", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: {} outcomes of the cleaner', op, oo, count(*)) "
      "FROM cleaned GROUP BY op, oo HAVING count(*) > 1 ORDER BY op, oo" },
    { "no outcome of the cleaner is without its event", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: cleaned, but not in $T.valid', c.op, c.oo) FROM "
      "cleaned AS c JOIN reads AS r ON r.topic = '.valid' AND r.p = c.p LEFT JOIN valid_first AS f "
      "ON f.p = c.p AND f.op = c.op WHERE NOT EXISTS (SELECT 1 FROM valid AS v WHERE v.op = c.op "
      "AND v.oo = c.oo) AND (log_start = 0 OR c.oo >= coalesce(f.oo, $A)) ORDER BY c.op, c.oo" },
    { "each event of T.valid is cleaned or dead", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: lost behind $T.valid part {} offset {}', op, oo, p, o) "
      "FROM washed WHERE known AND handled AND cleans + deads = 0 ORDER BY op, oo" },
    { "raw objects follow each other without gap or overlap", ALWAYS, ONCE,
      "SELECT format('$T part {}: object {} begins at {}, the one before ended at {}', p, first, "
      "start, earlier) FROM (SELECT *, lag(next) OVER (PARTITION BY p ORDER BY first) AS earlier "
      "FROM ranges) WHERE start <> earlier ORDER BY p, first" },
    { "raw objects are as long as they say, and unchanged", ALWAYS, ONCE,
      "SELECT format('$T part {}: object {} holds {} lines of {}{}', p, first, lines, "
      "next - first, CASE WHEN sha_ok THEN '' ELSE ' and was changed' END) FROM ranges "
      "WHERE lines <> next - first OR NOT sha_ok OR start > first ORDER BY p, first" },
    { "the archiver's last object is there", ALWAYS, ONCE,
      "SELECT format('$T part {}: object {} is gone', p, object) FROM marks AS m WHERE topic = '' "
      "AND object >= 0 AND NOT EXISTS (SELECT 1 FROM ranges AS r WHERE r.p = m.p AND "
      "r.first = object) ORDER BY p" },
    { "no record left the log before it was archived", ALWAYS, ONCE,
      "SELECT format('$T{} part {}: [{}, {}) is gone from the log and was not archived', topic, p, "
      "coalesce(stop, 0), log_start) FROM (SELECT topic, p, log_start, archived, adopted FROM "
      "reads "
      "JOIN marks USING (topic, p) WHERE topic <> '.valid') LEFT JOIN (SELECT '' AS topic, p, "
      "max(next) AS stop FROM ranges GROUP BY p UNION ALL SELECT substr(topic, length('$T') + 1), "
      "p, stop FROM ends WHERE topic IN ('$T.clean', '$T.dead')) USING (topic, p) WHERE log_start "
      "> "
      "coalesce(stop, 0) AND NOT adopted AND (stop IS NULL OR archived < log_start) "
      "ORDER BY topic, p" },
    { "each record stands in the objects once", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: in {} objects', p, o, count(*)) FROM objects JOIN "
      "raw_reads USING (p) WHERE o >= since OR since = log_start GROUP BY p, o "
      "HAVING count(*) > 1 ORDER BY p, o" },
    { "no record is missing in the objects", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: not in the objects', p, o) FROM stored WHERE "
      "lines = 0 AND NOT ahead ORDER BY p, o" },
    { "each line of the objects is its record", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: its line in the objects is another', p, o) FROM raw "
      "JOIN raw_reads USING (p) JOIN objects AS l USING (p, o) WHERE o >= since AND NOT CASE WHEN "
      "tombstone THEN is_null WHEN wrapped IS NOT NULL AND wrapped = value_hash THEN true ELSE "
      "l.line = raw.line END ORDER BY p, o" },
    { "no line of the objects is without its record", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: in the objects only', p, o) FROM objects AS l JOIN "
      "raw_reads USING (p) WHERE o >= since AND NOT EXISTS "
      "(SELECT 1 FROM raw WHERE raw.p = l.p AND raw.o = l.o) ORDER BY p, o" },
    { "commits follow each other without gap or overlap", ALWAYS, ONCE,
      "SELECT format('{} part {}: commit {} begins at {}, the one before ended at {}', topic, p, "
      "version, start, earlier) FROM (SELECT c.*, coalesce(lag(next) OVER (PARTITION BY c.topic, p "
      "ORDER BY version), if(l.first = 0, 0, start)) AS earlier FROM commits AS c LEFT JOIN logs "
      "AS "
      "l ON ends_with(c.topic, l.topic)) WHERE start <> earlier ORDER BY topic, p, start" },
    { "what the archiver has taken from T.clean is in commits", ALWAYS, ONCE,
      "SELECT format('$T.clean part {} offset {}: in no commit', p, o) FROM placed JOIN marks AS m "
      "USING (p) WHERE m.topic = '.clean' AND o < archived AND asked AND known AND version IS NULL "
      "ORDER BY p, o" },
    { "each commit holds the records that it counts", ALWAYS, ONCE,
      "SELECT format('$T.clean part {}: commit {} counts {} of [{}, {}), which holds {}', c.p, "
      "c.version, good + repeated, c.start, next, coalesce(held, 0)) FROM commits AS c JOIN reads "
      "AS "
      "r ON r.topic = '.clean' AND r.p = c.p LEFT JOIN (SELECT p, version, count(*) AS held FROM "
      "placed GROUP BY p, version) AS h ON h.p = c.p AND h.version = c.version WHERE c.topic = "
      "'$T.clean' AND c.start >= r.start AND coalesce(held, 0) <> good + repeated "
      "ORDER BY c.p, c.start" },
    { "the table has as many rows as its commits count", ALWAYS, ONCE,
      "SELECT format('{} rows, counted {}', held, counted) FROM (SELECT (SELECT count(*) FROM "
      "all_kept) AS held, coalesce(sum(good), 0)::BIGINT AS counted FROM commits WHERE topic = "
      "'$T.clean') WHERE held <> counted AND (SELECT coalesce(max(first), 0) FROM logs WHERE "
      "topic = '.clean') = 0" },
    { "each row of the table came with its commit", ALWAYS, KEY,
      "SELECT format('a row of commit {} is none of its records (hash {})', version, h) FROM kept "
      "SEMI JOIN whole USING (version) ANTI JOIN came AS c ON c.version = kept.version AND "
      "c.h = kept.h ORDER BY version" },
    { "the table keeps each key once", KEEP_FIRST, KEY,
      "SELECT format('a key is kept {} times (hash {})', count(*), k) FROM kept WHERE k IS NOT "
      "NULL GROUP BY k HAVING count(*) > 1 ORDER BY k" },
    { "the table keeps each key that came", KEEP_FIRST, KEY,
      "SELECT format('$T.clean part {} offset {}: its key is not in the table', min(p), min(o)) "
      "FROM came AS c WHERE asked AND k IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "
      "kept WHERE "
      "kept.k = c.k) GROUP BY k ORDER BY 1" },
    { "each row of the table is the first of its key", KEEP_FIRST, KEY,
      "SELECT format('a row is not what came first under its key (hash {})', k) FROM kept WHERE k "
      "IS NOT NULL AND (SELECT holds FROM plain) AND NOT EXISTS (SELECT 1 FROM came AS c JOIN "
      "firsts AS f ON f.k = c.k AND f.version = c.version WHERE c.k = kept.k AND c.h = kept.h) OR "
      "EXISTS (SELECT "
      "1 FROM firsts AS f WHERE f.k = kept.k AND f.version < kept.version) ORDER BY k" },
    { "the table's rows are the events of T.clean", KEEP_ALL, KEY,
      "SELECT format('a row is in the table {} times and in $T.clean {} times (hash {})', "
      "coalesce(a.n, 0), coalesce(b.n, 0), coalesce(a.h, b.h)) FROM (SELECT h, count(*) AS n FROM "
      "kept GROUP BY h) AS a FULL JOIN (SELECT h, count(*) AS n FROM came GROUP BY h) AS b "
      "USING (h) WHERE CASE WHEN (SELECT holds FROM plain) THEN a.n IS DISTINCT FROM b.n ELSE "
      "coalesce(a.n, 0) < coalesce(b.n, 0) END" },
    { "the table of dead letters holds T.dead", ALWAYS, KEY,
      "SELECT format('a dead letter is in the table {} times and in $T.dead {} times (hash {})', "
      "coalesce(a.n, 0), coalesce(b.n, 0), coalesce(a.h, b.h)) FROM (SELECT h, count(*) AS n FROM "
      "buried GROUP BY h) AS a FULL JOIN (SELECT h, count(*) AS n FROM letters WHERE is_in "
      "GROUP "
      "BY h) AS b USING (h) WHERE CASE WHEN (SELECT max(start) FROM reads WHERE topic = '.dead') "
      "= 0 AND (SELECT max(given) FROM raw_reads) = 0 THEN a.n IS DISTINCT FROM b.n ELSE "
      "coalesce(a.n, 0) < coalesce(b.n, 0) END" },
    /* replays: stage "replay" of dead is the mark behind a letter, rp and ro are where the replay
     * stands; in raw they are what it replays (LAW 24) */
    { "a letter is marked as replayed once", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: replayed {} times', op, oo, count(*)) FROM dead WHERE "
      "stage = 'replay' GROUP BY op, oo HAVING count(*) > 1 ORDER BY op, oo" },
    { "what is marked as replayed had died", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: marked in $T.dead part {} offset {}, but never died', "
      "op, oo, p, o) FROM dead AS m WHERE stage = 'replay' AND (SELECT max(start) FROM reads WHERE "
      "topic = '.dead') = 0 AND NOT EXISTS (SELECT 1 FROM dead AS d WHERE d.op = m.op AND "
      "d.oo = m.oo AND d.stage <> 'replay') ORDER BY op, oo" },
    { "what is marked as replayed is in T again", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: marked as replayed, but not at part {} offset {}', op, "
      "oo, m.rp, m.ro) FROM marked AS m JOIN raw_reads AS r ON r.p = m.rp WHERE m.ro >= start AND "
      "NOT EXISTS (SELECT 1 FROM raw WHERE raw.p = m.rp AND raw.o = m.ro AND raw.rp = m.op AND "
      "raw.ro = m.oo) ORDER BY op, oo" },
    { "a replay is marked", ALWAYS, ORIGIN,
      "SELECT format('$T part {} offset {}: replays part {} offset {} without a mark', raw.p, "
      "raw.o, raw.rp, raw.ro) FROM raw JOIN marks AS h ON topic = '' AND h.p = raw.p WHERE raw.rp "
      "IS NOT NULL AND raw.o < handled AND (SELECT max(start) FROM reads WHERE topic = '.dead') = "
      "0 AND NOT EXISTS (SELECT 1 FROM marked AS m WHERE m.op = raw.rp AND m.oo = raw.ro AND "
      "m.rp = raw.p AND m.ro = raw.o) ORDER BY raw.p, raw.o" },
    { "nothing stays in flight", ALWAYS, ONCE,
      "SELECT format('{} part {}: {} records from offset {} on, for {} s: {}', topic, p, n, o, "
      "($N - t) // 1000, what) FROM (SELECT topic, p, sum(n)::BIGINT AS n, min(o) AS o, min(t) AS "
      "t, what FROM loose WHERE late GROUP BY topic, p, what UNION ALL SELECT '$T.clean', p, "
      "count(*), min(o), min(t), 'in no commit' FROM placed WHERE version IS NULL AND known AND "
      "asked AND t <= $N - $L GROUP BY p UNION ALL SELECT '$T.dead', p, count(*), min(o), min(t), "
      "'in no commit' FROM all_letters WHERE NOT is_in AND t <= $N - $L GROUP BY p) "
      "ORDER BY topic, p, what" },
};

const char *const verify_gaps[] = {
    "SELECT format('$T part {}: [0, {}) is gone from the log; only its objects and commits are "
    "checked', p, log_start) FROM raw_reads WHERE log_start > 0 ORDER BY p",
    "SELECT format('$T part {}: [{}, {}) is before --since and taken as given', p, log_start, "
    "since) FROM raw_reads WHERE given > 0 ORDER BY p",
    "SELECT format('{} part {}: {} records from offset {} on: {}', topic, p, sum(n)::BIGINT, "
    "min(o), what) FROM loose WHERE NOT late GROUP BY topic, p, what ORDER BY topic, p, what",
    "SELECT format('$T part {}: objects begin at {}', p, min(first)) FROM ranges JOIN raw_reads "
    "USING (p) WHERE given = 0 GROUP BY p HAVING min(ranges.start) > 0 ORDER BY p",
    "SELECT format('commits of the table{} before version {} are cleaned up', if(topic = '.dead', "
    "' of dead letters', ''), first) FROM logs WHERE first <> 0 ORDER BY topic",
    "SELECT format('{} rows of the table: their records in $T.clean are gone or before --since', "
    "count(*)) FROM all_kept ANTI JOIN whole USING (version) WHERE NOT (SELECT holds FROM plain) "
    "HAVING count(*) > 0",
};

const size_t verify_views_count = MR_COUNT(verify_views);
const size_t verify_laws_count = MR_COUNT(verify_laws);
const size_t verify_rules_count = MR_COUNT(verify_rules);
const size_t verify_gaps_count = MR_COUNT(verify_gaps);
