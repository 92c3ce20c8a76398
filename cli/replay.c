/*
 * millrace replay: plays dead letters again, or says what would become of them.
 */
#include "cli/replay/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "cli/dead/dead.h"
#include "contract/contract.h"

enum { ASK_MS_MAX = 10000, RECORD_BYTES_MAX = 64 << 20, SAMPLES_MAX = 5, SAMPLE_BYTES_MAX = 300 };

struct options {
    struct cli_options common;
    const char *kind, *code, *since, *until, *origin, *record;
    bool dry_run, passing, all;
};

static const struct mr_opt table[] = {
    { "kind", MR_OPT_TEXT, offsetof(struct options, kind), "", 0, MR_KIND_MAX, NULL,
      "Only letters of this kind.", false },
    { "code", MR_OPT_TEXT, offsetof(struct options, code), "", 0, 1000, NULL,
      "Only letters with this code, or one of several: WRONG_TYPE,BAD_TIME.", false },
    { "since", MR_OPT_TEXT, offsetof(struct options, since), "", 0, 32, NULL,
      "Only what died at this time or later: 2026-02-28, 2026-02-28T23:59:59 (UTC), or 90s, 15m, "
      "2h, 7d ago.",
      false },
    { "until", MR_OPT_TEXT, offsetof(struct options, until), "", 0, 32, NULL,
      "Only what died before this time.", false },
    { "origin", MR_OPT_TEXT, offsetof(struct options, origin), "", 0, REPLAY_PLACE_TEXT, NULL,
      "Only the record that died at this place: TOPIC/PARTITION/OFFSET.", false },
    { "all", MR_OPT_BOOL, offsetof(struct options, all), "false", 0, 0, NULL,
      "All letters of all tenants: without any filter this has to be said.", false },
    { "passing", MR_OPT_BOOL, offsetof(struct options, passing), "false", 0, 0, NULL,
      "Only what would pass now by the contracts of --kinds.", false },
    { "record", MR_OPT_TEXT, offsetof(struct options, record), "", 0, 4096, NULL,
      "A file with the repaired value of the one record of --origin.", false },
    { "dry-run", MR_OPT_BOOL, offsetof(struct options, dry_run), "false", 0, 0, NULL,
      "Write nothing: count by code what would pass, and show some of it.", false },
    { 0 },
};

struct command {
    struct options options;
    struct mr_bus *bus;
    struct mr_buf repaired;
    struct replay_filter filter;
    struct mr_topic_name only; /* of --origin; tenant "": none */
    int64_t refused;
};

/* What the letters of one kind of one tenant come to. */
struct tally {
    const struct command *command;
    struct replay_judge judge;
    int64_t fates[64][REPLAY_OPEN + 1]; /* by code */
    int64_t refused;
    size_t samples;
};

/* ---- options ---- */

static int
take_codes(const char *text, uint64_t *ret, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *copy = mr_strdup(text);
    char *rest = copy;
    for (char *word; (word = strsep(&rest, ",")) != NULL;) {
        const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value_by_name(
            &millrace__v1__dead_code__descriptor, word);
        if (value == NULL || value->value == 0)
            return mr_fail(err, MR_E(INVALID), MR_FATAL,
                           "option --code: \"%s\" is no code of dead letters; millrace dead stats "
                           "shows those there are",
                           word);
        *ret |= UINT64_C(1) << value->value;
    }
    return 0;
}

static int
take_origin(struct command *c, struct mr_err *err)
{
    struct dead_place place;
    if (dead_place_parse(c->options.origin, &place, err) != 0)
        return mr_fail_in(err, "option --origin");
    if (!mr_topic_parse(place.topic, &c->only) || c->only.role != MR_TOPIC_RAW)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "option --origin: %s is no raw topic",
                       place.topic);
    c->filter.has_origin = true;
    c->filter.partition = place.partition;
    c->filter.offset = place.offset;
    return 0;
}

static int
read_record(const char *path, struct mr_buf *ret, struct mr_err *err)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "option --record: %s: %m", path);
    char part[65536];
    for (size_t got; (got = fread(part, 1, sizeof(part), file)) > 0;)
        mr_buf_put(ret, part, got);
    bool is_bad = ferror(file) != 0 || ret->size == 0 || ret->failed;
    (void)fclose(file);
    return !is_bad ? 0
                   : mr_fail(err, MR_E(INVALID), MR_FATAL,
                             "option --record: %s cannot be read, or has not 1 to %d bytes", path,
                             RECORD_BYTES_MAX);
}

static int
take_options(struct command *c, struct mr_err *err)
{
    const struct options *o = &c->options;
    if (o->code[0] != '\0' && take_codes(o->code, &c->filter.codes, err) != 0)
        return err->code;
    if ((o->since[0] != '\0' && cli_when("since", o->since, &c->filter.since_us, err) != 0) ||
        (o->until[0] != '\0' && cli_when("until", o->until, &c->filter.until_us, err) != 0))
        return err->code;
    if (o->origin[0] != '\0' && take_origin(c, err) != 0)
        return err->code;
    if (o->record[0] != '\0' && o->origin[0] == '\0')
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "option --record needs --origin: which record does it repair?");
    if (o->record[0] != '\0' && read_record(o->record, &c->repaired, err) != 0)
        return err->code;
    bool has_filter = o->common.tenant[0] != '\0' || o->kind[0] != '\0' || o->code[0] != '\0' ||
                      o->since[0] != '\0' || o->until[0] != '\0' || o->origin[0] != '\0';
    if (!has_filter && !o->all)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "which letters? give --tenant, --kind, --code, --since, --until or "
                       "--origin, or --all");
    return 0;
}

/* ---- what would become of them ---- */

static const char *
code_name(int code)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&millrace__v1__dead_code__descriptor, code);
    return value != NULL ? value->name : "UNKNOWN";
}

static void
show_sample(struct tally *tally, const struct replay_letter *letter)
{
    const struct mr_buf *row = &tally->judge.row;
    if (tally->samples++ >= SAMPLES_MAX)
        return;
    if (tally->samples == 1)
        printf("would pass now, for example:\n");
    printf("  %s %s -> %.*s%s\n", letter->place, code_name((int)letter->letter->code),
           row->size < SAMPLE_BYTES_MAX ? (int)row->size : SAMPLE_BYTES_MAX, row->data,
           row->size < SAMPLE_BYTES_MAX ? "" : " ..");
}

static bool
judge(void *self, const struct replay_letter *letter)
{
    struct tally *tally = self;
    enum replay_fate fate = replay_judge(&tally->judge, letter);
    int code = letter->letter->code < 64 ? (int)letter->letter->code : 0;
    tally->fates[code][fate]++;
    if (tally->command->options.dry_run && fate == REPLAY_PASSES)
        show_sample(tally, letter);
    return fate != REPLAY_DIES;
}

static void
say_refused(void *self, const char *place, const char *why)
{
    struct tally *tally = self;
    tally->refused++;
    (void)fprintf(stderr, "millrace: %s is not replayed: %s\n", place, why);
}

static void
show_fates(const struct tally *tally, const char *topic, const struct replay_counts *counts)
{
    bool has_open = false;
    printf("%-40s %10s %10s %10s\n", topic, "passes", "dies again", "open");
    for (int code = 0; code < 64; code++) {
        const int64_t *n = tally->fates[code];
        if (n[REPLAY_PASSES] + n[REPLAY_DIES] + n[REPLAY_OPEN] > 0)
            printf("  %-38s %10" PRId64 " %10" PRId64 " %10" PRId64 "\n", code_name(code),
                   n[REPLAY_PASSES], n[REPLAY_DIES], n[REPLAY_OPEN]);
        has_open = has_open || n[REPLAY_OPEN] > 0;
    }
    printf("  %" PRId64 " were replayed before, %" PRId64 " cannot be\n", counts->marked,
           counts->refused);
    if (has_open)
        printf("  open: the value holds, but whether it fits its topics now is not known here\n");
}

/* ---- one kind of one tenant ---- */

static int
play(struct command *c, const struct mr_topic_name *name, struct mr_err *err)
{
    const struct options *o = &c->options;
    struct tally tally = { .command = c };
    struct replay_counts counts;
    struct replay replay = { .bus = c->bus,
                             .pipeline = o->common.pipeline,
                             .tenant = name->tenant,
                             .kind = name->kind,
                             .filter = c->filter,
                             .repaired = mr_buf_slice(&c->repaired),
                             .refused = say_refused,
                             .self = &tally };
    char topic[MR_TOPIC_MAX + 1];
    mr_topic_format(name->tenant, name->kind, MR_TOPIC_RAW, topic);
    bool judges = o->dry_run || o->passing;
    if (judges) {
        replay.wants = judge;
        if (replay_judge_open(o->common.kinds, name->kind, &tally.judge, err) != 0) {
            replay_judge_close(&tally.judge);
            return err->code;
        }
    }
    int code = o->dry_run ? replay_look(&replay, &counts, err) : replay_run(&replay, &counts, err);
    if (judges)
        replay_judge_close(&tally.judge);
    c->refused += counts.refused;
    if (o->dry_run && code == 0)
        show_fates(&tally, topic, &counts);
    else if (!o->dry_run)
        printf("%s: %" PRId64 " replayed, %" PRId64 " left that would die again, %" PRId64
               " replayed before, %" PRId64 " cannot be\n",
               topic, counts.replayed, counts.unwanted, counts.marked, counts.refused);
    bool is_found = counts.replayed + counts.unwanted + counts.marked + counts.refused > 0;
    for (int i = 0; i < 64 && !is_found; i++)
        is_found = tally.fates[i][REPLAY_PASSES] + tally.fates[i][REPLAY_OPEN] > 0;
    if (code == 0 && c->filter.has_origin && !is_found)
        return mr_fail(err, MR_E(NOT_FOUND), MR_FATAL, "%s has no dead letter that is meant",
                       o->origin);
    return code;
}

static bool
is_asked(const struct command *c, const struct mr_topic_name *name)
{
    const struct options *o = &c->options;
    bool is_only = !c->filter.has_origin || (strcmp(c->only.tenant, name->tenant) == 0 &&
                                             strcmp(c->only.kind, name->kind) == 0);
    return name->role == MR_TOPIC_DEAD && is_only &&
           (o->common.tenant[0] == '\0' || strcmp(o->common.tenant, name->tenant) == 0) &&
           (o->kind[0] == '\0' || strcmp(o->kind, name->kind) == 0);
}

static int
play_all(struct command *c, struct mr_err *err)
{
    const struct cli_options *o = &c->options.common;
    const struct mr_bus_options bus = { o->bootstrap, o->kafka_config, "millrace" };
    MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
    size_t count = 0, asked = 0;
    if (take_options(c, err) != 0 || mr_bus_open(&bus, &c->bus, err) != 0 ||
        mr_bus_topics(c->bus, &topics, &count, ASK_MS_MAX, err) != 0)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        struct mr_topic_name name;
        if (!mr_topic_parse(topics[i].name, &name) || !is_asked(c, &name))
            continue;
        asked++;
        if (play(c, &name, err) != 0)
            return err->code;
    }
    if (asked == 0)
        return mr_fail(err, MR_E(NOT_FOUND), MR_FATAL, "there is no topic of this tenant and kind");
    return 0;
}

int
command_replay(int argc, char **argv)
{
    static struct command c;
    struct mr_err err = { 0 };
    int result = cli_load("millrace replay", "Plays dead letters again.", table, &c.options, argc,
                          argv, NULL, NULL, &err);
    if (result > 0)
        return EXIT_FINE;
    mr_buf_init(&c.repaired, RECORD_BYTES_MAX);
    if (result == 0)
        result = play_all(&c, &err);
    mr_buf_fini(&c.repaired);
    mr_bus_close(c.bus);
    if (result != 0)
        return cli_refuse(&err);
    return c.refused == 0 ? EXIT_FINE : EXIT_FAILED;
}
