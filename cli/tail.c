/*
 * Follows a topic and writes each record as one line of JSON: where it stands, and what it holds,
 * decoded by what kind of topic it is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/bus.h"
#include "cli.h"
#include "clock/clock.h"
#include "contract/contract.h"
#include "letter/letter.h"
#include "millrace/v1/event.pb-c.h"
#include "names/names.h"

enum {
    ASK_MS_MAX = 10000,
    POLL_MAX = 1000,
    POLL_MS = 200,
    PARTS_MAX = 1024,
    LINE_BYTES_MAX = 256 << 20
};

struct options {
    struct cli_options common;
    const char *from;
    int64_t count;
    bool once;
};

static const struct mr_opt table[] = {
    { "from", MR_OPT_CHOICE, offsetof(struct options, from), "end", 0, 0, "start|end",
      "Where to begin.", false },
    { "count", MR_OPT_INT, offsetof(struct options, count), "0", 0, INT64_MAX, NULL,
      "Stop after so many records; 0: never.", false },
    { "once", MR_OPT_BOOL, offsetof(struct options, once), "false", 0, 0, NULL,
      "Stop at the end of all partitions.", false },
    { 0 },
};

struct tail {
    struct options options;
    struct mr_contracts *contracts;
    struct mr_topic_name name;
    bool is_ours; /* the topic's name says what it holds */
    struct mr_part parts[PARTS_MAX];
    bool at_end[PARTS_MAX];
    size_t parts_count;
    struct mr_buf line;
};

/* ---- one record ---- */

static void
put_row(struct tail *t, const struct mr_schema *schema, const struct mr_columns *rows)
{
    mr_contract_json(schema, rows, 0, &t->line);
}

static int
put_event(struct tail *t, struct mr_slice value, struct mr_err *err)
{
    const struct mr_kind *kind = mr_contracts_find(t->contracts, t->name.kind);
    enum mr_side side = t->name.role == MR_TOPIC_VALID ? MR_INPUT : MR_OUTPUT;
    Millrace__V1__Event *event = millrace__v1__event__unpack(NULL, value.size, value.data);
    if (event == NULL || event->origin == NULL || kind == NULL) {
        if (event != NULL)
            millrace__v1__event__free_unpacked(event, NULL);
        return mr_fail(err, MR_E(CORRUPT), MR_REJECT, "no event of a known kind");
    }
    const struct mr_schema *schema = side == MR_INPUT ? &kind->input : &kind->output;
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = mr_columns_new(schema);
    int result =
        mr_contract_decode(kind, side, mr_slice(event->record.data, event->record.len), rows, err);
    if (result == 0) {
        mr_buf_text(&t->line, ",\"origin\":{\"topic\":");
        mr_buf_json(&t->line, mr_slice_text(event->origin->topic));
        mr_buf_printf(&t->line, ",\"partition\":%d,\"offset\":%" PRId64 "},\"record\":",
                      event->origin->partition, event->origin->offset);
        put_row(t, schema, rows);
    }
    millrace__v1__event__free_unpacked(event, NULL);
    return result;
}

static int
put_letter(struct tail *t, struct mr_slice value, struct mr_err *err)
{
    MR_CLEANUP(mr_columns_freep) struct mr_columns *rows = mr_columns_new(mr_letter_schema());
    if (mr_letter_decode(value, rows, err) != 0)
        return err->code;
    mr_buf_text(&t->line, ",\"letter\":");
    put_row(t, mr_letter_schema(), rows);
    return 0;
}

static void
put_raw(struct tail *t, struct mr_slice value)
{
    mr_buf_text(&t->line, ",\"value\":");
    if (value.data == NULL) {
        mr_buf_text(&t->line, "null");
    } else if (mr_utf8_valid(value)) {
        mr_buf_json(&t->line, value);
    } else {
        mr_buf_text(&t->line, "{\"base64\":\"");
        mr_base64_encode(value, &t->line);
        mr_buf_text(&t->line, "\"}");
    }
}

static void
print_record(struct tail *t, const struct mr_record *record)
{
    struct mr_err err = { 0 };
    mr_buf_reset(&t->line);
    mr_buf_printf(&t->line, "{\"partition\":%d,\"offset\":%" PRId64 ",\"key\":",
                  (int)t->parts[record->slot].partition, record->offset);
    if (record->key.data != NULL && mr_utf8_valid(record->key))
        mr_buf_json(&t->line, record->key);
    else
        mr_buf_text(&t->line, "null");
    size_t before = t->line.size;
    int result = !t->is_ours || t->name.role == MR_TOPIC_RAW || record->value.data == NULL
                     ? MR_E(UNSUPPORTED)
                 : t->name.role == MR_TOPIC_DEAD ? put_letter(t, record->value, &err)
                                                 : put_event(t, record->value, &err);
    if (result != 0) {
        t->line.size = before;
        put_raw(t, record->value);
    }
    mr_buf_text(&t->line, "}\n");
    (void)fwrite(t->line.data, 1, t->line.size, stdout);
}

/* ---- the topic ---- */

static int
find_parts(struct tail *t, struct mr_bus *bus, const char *topic, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) struct mr_topic *topics = NULL;
    size_t count = 0;
    struct mr_offsets offsets[PARTS_MAX];
    if (mr_bus_topics(bus, &topics, &count, ASK_MS_MAX, err) != 0)
        return err->code;
    for (size_t i = 0; i < count; i++)
        if (strcmp(topics[i].name, topic) == 0)
            t->parts_count =
                (size_t)(topics[i].partitions < PARTS_MAX ? topics[i].partitions : PARTS_MAX);
    if (t->parts_count == 0)
        return mr_fail(err, MR_E(NOT_FOUND), MR_FATAL, "there is no topic %s; see millrace topics",
                       topic);
    for (size_t p = 0; p < t->parts_count; p++)
        offsets[p] = (struct mr_offsets){ .topic = topic, .partition = (int32_t)p };
    if (mr_bus_offsets(bus, NULL, offsets, t->parts_count, ASK_MS_MAX, err) != 0)
        return err->code;
    for (size_t p = 0; p < t->parts_count; p++) {
        struct mr_part *part = &t->parts[p];
        (void)snprintf(part->topic, sizeof(part->topic), "%s", topic);
        part->partition = (int32_t)p;
        part->start = t->options.from[0] == 's' ? offsets[p].log_start : offsets[p].end;
    }
    return 0;
}

static bool
is_done(const struct tail *t, int64_t printed)
{
    bool ended = t->options.once;
    for (size_t p = 0; p < t->parts_count; p++)
        ended = ended && t->at_end[p];
    return ended || (t->options.count > 0 && printed >= t->options.count);
}

static int
follow(struct tail *t, struct mr_reader *reader, struct mr_err *err)
{
    int64_t printed = 0;
    while (!is_done(t, printed)) {
        struct mr_batch batch;
        if (mr_reader_poll(reader, POLL_MAX, POLL_MS, &batch, err) < 0)
            return err->code;
        for (size_t i = 0; i < batch.count; i++) {
            const struct mr_record *record = &batch.records[i];
            t->at_end[record->slot] = record->is_end;
            if (record->is_end)
                continue;
            print_record(t, record);
            if (++printed == t->options.count)
                return 0;
        }
        (void)fflush(stdout);
    }
    return 0;
}

static int
run(struct tail *t, const char *topic, struct mr_err *err)
{
    MR_CLEANUP(mr_contracts_closep) struct mr_contracts *contracts = NULL;
    MR_CLEANUP(mr_bus_closep) struct mr_bus *bus = NULL;
    MR_CLEANUP(mr_reader_closep) struct mr_reader *reader = NULL;
    const struct mr_bus_options bus_options = { t->options.common.bootstrap,
                                                t->options.common.kafka_config, "millrace" };
    const struct mr_reader_options reader_options = { .queue_bytes_max = 32 << 20 };

    t->is_ours = mr_topic_parse(topic, &t->name);
    if (t->is_ours && mr_contracts_open(t->options.common.kinds, &contracts, err) != 0)
        return err->code;
    t->contracts = contracts;
    if (mr_bus_open(&bus_options, &bus, err) != 0 || find_parts(t, bus, topic, err) != 0 ||
        mr_reader_open(bus, &reader_options, &reader, err) != 0 ||
        mr_reader_assign(reader, t->parts, t->parts_count, err) != 0)
        return err->code;
    return follow(t, reader, err);
}

int
command_tail(int argc, char **argv)
{
    static struct tail t;
    struct mr_err err = { 0 };
    int rest_count = 0;
    char **rest = NULL;
    int result = cli_load("millrace tail TOPIC", "Follows a topic, each record as JSON.", table,
                          &t.options, argc, argv, &rest_count, &rest, &err);
    if (result > 0)
        return EXIT_FINE;
    mr_buf_init(&t.line, LINE_BYTES_MAX);
    if (result == 0 && rest_count != 1)
        result = mr_fail(&err, MR_E(INVALID), MR_FATAL, "tail wants one topic");
    if (result == 0)
        result = run(&t, rest[0], &err);
    mr_buf_fini(&t.line);
    free(rest);
    return result == 0 ? EXIT_FINE : cli_refuse(&err);
}
