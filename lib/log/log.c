/*
 * A line is put together in one buffer and written with one call, so lines of several threads do
 * not mix.
 */
#include "log/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "clock/clock.h"

enum { LINE_MAX = 8192, QUOTE_MAX = 256, QUOTED_MAX = 6 * QUOTE_MAX + 2, QUOTE_RING = 8 };

static struct {
    const char *process;
    enum mr_level most_verbose;
    pthread_mutex_t lock; /* of capture */
    struct mr_buf *capture;
} logger = { "millrace", MR_LOG_INFO, PTHREAD_MUTEX_INITIALIZER, NULL };

static const char *const levels[] = { "error", "warn", "info", "debug" };

void
mr_log_open(const char *process, enum mr_level most_verbose)
{
    logger.process = process;
    logger.most_verbose = most_verbose;
}

static void
emit(const struct mr_buf *line)
{
    pthread_mutex_lock(&logger.lock);
    if (logger.capture != NULL)
        mr_buf_put(logger.capture, line->data, line->size);
    else
        (void)!write(STDERR_FILENO, line->data, line->size);
    pthread_mutex_unlock(&logger.lock);
}

static void
begin_line(struct mr_buf *line, enum mr_level level, const char *event)
{
    char time[MR_TIME_TEXT];
    mr_time_text(mr_wall_us(), time);
    mr_buf_init(line, LINE_MAX);
    mr_buf_printf(line, "time=%.23sZ level=%s process=%s event=%s", time, levels[level],
                  logger.process, event);
}

__attribute__((format(printf, 2, 0))) static void
put_pairs(struct mr_buf *line, const char *format, va_list arguments)
{
    char pairs[LINE_MAX / 2];
    (void)vsnprintf(pairs, sizeof(pairs), format, arguments);
    mr_buf_text(line, pairs);
}

void
mr_log(enum mr_level level, const char *event, const char *format, ...)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf line;
    va_list arguments;
    if (level > logger.most_verbose) {
        mr_buf_init(&line, 0);
        return;
    }
    begin_line(&line, level, event);
    va_start(arguments, format);
    put_pairs(&line, format, arguments);
    va_end(arguments);
    mr_buf_text(&line, "\n");
    emit(&line);
}

void
mr_log_err(enum mr_level level, const char *event, const struct mr_err *err, const char *format,
           ...)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf line;
    va_list arguments;
    if (level > logger.most_verbose) {
        mr_buf_init(&line, 0);
        return;
    }
    begin_line(&line, level, event);
    va_start(arguments, format);
    put_pairs(&line, format, arguments);
    va_end(arguments);
    mr_buf_printf(&line, " code=%s reason=", mr_code_name(err->code));
    mr_buf_json(&line, mr_slice_text(err->text));
    mr_buf_text(&line, "\n");
    emit(&line);
}

const char *
mr_log_quote(struct mr_slice text)
{
    static _Thread_local char ring[QUOTE_RING][QUOTED_MAX + 1];
    static _Thread_local unsigned turn;
    char *quoted = ring[turn++ % QUOTE_RING];
    const unsigned char *bytes = text.data;
    size_t size = text.size < QUOTE_MAX ? text.size : QUOTE_MAX;
    while (size > 0 && size < text.size && (bytes[size] & 0xc0) == 0x80)
        size--; /* not inside a character */
    MR_CLEANUP(mr_buf_fini) struct mr_buf buf;
    mr_buf_init(&buf, QUOTED_MAX);
    mr_buf_json(&buf, mr_slice(text.data, size));
    MR_ASSERT(!buf.failed);
    memcpy(quoted, buf.data, buf.size + 1);
    return quoted;
}

bool
mr_log_due(struct mr_log_gate *gate, int64_t interval_ms)
{
    int64_t now_ms = mr_now_ms();
    if (now_ms < gate->next_ms)
        return false;
    gate->next_ms = now_ms + interval_ms;
    return true;
}

void
mr_log_capture(struct mr_buf *buf)
{
    pthread_mutex_lock(&logger.lock);
    logger.capture = buf;
    pthread_mutex_unlock(&logger.lock);
}
