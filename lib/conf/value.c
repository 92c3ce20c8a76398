/*
 * What a value may be: numbers with their units, addresses, words from a list.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/private.h"

struct unit {
    const char *suffix;
    int64_t factor;
};

static const struct unit byte_units[] = {
    { "", 1 },        { "K", 1 << 10 },          { "M", 1 << 20 },
    { "G", 1 << 30 }, { "T", (int64_t)1 << 40 }, { NULL, 0 }
};
static const struct unit time_units[] = { { "", 1 },      { "ms", 1 },      { "s", 1000 },
                                          { "m", 60000 }, { "h", 3600000 }, { NULL, 0 } };
static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };

static struct mr_arena strings; /* what options point to, as long as the process lives */

static const struct unit *
units_of(const struct mr_opt *opt)
{
    return opt->type == MR_OPT_BYTES ? byte_units : opt->type == MR_OPT_MS ? time_units : no_units;
}

const char *
conf_kind(const struct mr_opt *opt)
{
    static const char *const kinds[] = { "text", "number",    "bytes", "time",
                                         "flag", "host:port", "word" };
    return kinds[opt->type];
}

static void
put_number(const struct mr_opt *opt, int64_t value, struct mr_buf *text)
{
    const struct unit *best = units_of(opt);
    for (const struct unit *unit = best; unit->suffix != NULL; unit++)
        if (value != 0 && value % unit->factor == 0 && unit->factor >= best->factor)
            best = unit;
    mr_buf_printf(text, "%" PRId64 "%s", value / best->factor, best->suffix);
}

void
conf_range(const struct mr_opt *opt, struct mr_buf *ret_text)
{
    switch (opt->type) {
    case MR_OPT_INT:
    case MR_OPT_BYTES:
    case MR_OPT_MS:
        put_number(opt, opt->min, ret_text);
        mr_buf_text(ret_text, "..");
        put_number(opt, opt->max, ret_text);
        break;
    case MR_OPT_CHOICE:
        mr_buf_text(ret_text, opt->choices);
        break;
    case MR_OPT_BOOL:
        mr_buf_text(ret_text, "true|false");
        break;
    case MR_OPT_TEXT:
    case MR_OPT_ADDR:
        break;
    }
}

static int
set_number(const struct mr_opt *opt, int64_t *ret, const char *text, struct mr_err *err)
{
    char *end;
    MR_CLEANUP(mr_buf_fini) struct mr_buf range;
    mr_buf_init(&range, 256);
    conf_range(opt, &range);
    bool begins = isdigit((unsigned char)text[text[0] == '-']) != 0; /* no blank, no plus */
    errno = 0;
    int64_t number = strtoll(text, &end, 10), value;
    const struct unit *unit = units_of(opt);
    while (unit->suffix != NULL && strcmp(unit->suffix, end) != 0)
        unit++;
    if (!begins || errno != 0 || unit->suffix == NULL ||
        __builtin_mul_overflow(number, unit->factor, &value))
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "\"%s\" is not a %s in %s", text,
                       conf_kind(opt), range.data);
    if (value < opt->min || value > opt->max)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s is outside %s", text, range.data);
    *ret = value;
    return 0;
}

static int
set_bool(bool *ret, const char *text, struct mr_err *err)
{
    bool is_true = strcmp(text, "true") == 0 || strcmp(text, "1") == 0 || strcmp(text, "yes") == 0;
    bool is_false = strcmp(text, "false") == 0 || strcmp(text, "0") == 0 || strcmp(text, "no") == 0;
    if (!is_true && !is_false)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "\"%s\" is neither true nor false", text);
    *ret = is_true;
    return 0;
}

static int
check_choice(const struct mr_opt *opt, const char *text, struct mr_err *err)
{
    size_t length = strlen(text);
    for (const char *word = opt->choices; *word != '\0';) {
        size_t word_length = strcspn(word, "|");
        if (word_length == length && memcmp(word, text, length) == 0)
            return 0;
        word += word_length + (word[word_length] == '|');
    }
    return mr_fail(err, MR_E(INVALID), MR_FATAL, "\"%s\" is none of %s", text, opt->choices);
}

static int
check_text(const struct mr_opt *opt, const char *text, struct mr_err *err)
{
    char host[256];
    int port;
    if (opt->type == MR_OPT_CHOICE)
        return check_choice(opt, text, err);
    if (opt->type == MR_OPT_ADDR)
        return text[0] == '\0' ? 0 : mr_conf_addr(text, host, sizeof(host), &port, err);
    size_t length = strlen(text);
    if (opt->max > 0 && (length < (size_t)opt->min || length > (size_t)opt->max))
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "a text of %zu bytes is outside %" PRId64 "..%" PRId64, length, opt->min,
                       opt->max);
    return 0;
}

int
conf_set(const struct mr_opt *opt, void *options, const char *text, struct mr_err *err)
{
    void *place = (char *)options + opt->offset;
    switch (opt->type) {
    case MR_OPT_INT:
    case MR_OPT_BYTES:
    case MR_OPT_MS:
        return set_number(opt, place, text, err);
    case MR_OPT_BOOL:
        return set_bool(place, text, err);
    case MR_OPT_TEXT:
    case MR_OPT_ADDR:
    case MR_OPT_CHOICE:
        break;
    }
    if (check_text(opt, text, err) != 0)
        return err->code;
    *(const char **)place = mr_arena_copy(&strings, text, strlen(text));
    return 0;
}

int
mr_conf_addr(const char *text, char *ret_host, size_t host_size, int *ret_port, struct mr_err *err)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    long port = colon != NULL ? strtol(colon + 1, &end, 10) : -1;
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;
    const char *host = text;

    if (colon == NULL || !isdigit((unsigned char)colon[1]) || *end != '\0' || port < 0 ||
        port > 65535)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "\"%s\" is not HOST:PORT with a port 0..65535",
                       text);
    if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
        host++;
        length -= 2;
    }
    if (length == 0 || length >= host_size)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "\"%s\" has no host of 1..%zu bytes", text,
                       host_size - 1);
    memcpy(ret_host, host, length);
    ret_host[length] = '\0';
    *ret_port = (int)port;
    return 0;
}
