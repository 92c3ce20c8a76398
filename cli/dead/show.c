/*
 * One letter: first what is known about it, then its original bytes in pieces, since one value may
 * be larger than an answer. A person sees the first of them; --raw and --json write all.
 */
#include "cli/dead/dead.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    PIECE_BYTES = 3 << 20, /* a multiple of 3, so that pieces of base64 make one text */
    SHOWN_BYTES = 64 << 10,
    TEXT_BYTES_MAX = 16 << 20,
};

struct letter {
    const struct dead_options *options;
    struct mr_buf text;  /* what is said about it */
    struct mr_buf piece; /* of the original, as asked for last */
    int64_t bytes;       /* of the original; -1: it had none */
    uint64_t rows;
};

static int
take_letter(void *self, const struct mr_columns *rows, struct mr_err *err)
{
    struct letter *letter = self;
    (void)err;
    letter->rows += rows->rows;
    if (rows->rows == 0)
        return 0;
    if (letter->options->json)
        dead_put_json(&letter->text, rows, 0);
    else
        dead_put_letter(&letter->text, rows, 0);
    const struct mr_column *bytes = &rows->columns[LETTER_BYTES];
    letter->bytes = mr_column_is_null(bytes, 0) ? -1 : mr_column_int(bytes, 0);
    return 0;
}

static int
take_piece(void *self, const struct mr_columns *rows, struct mr_err *err)
{
    struct letter *letter = self;
    (void)err;
    letter->rows += rows->rows;
    for (size_t row = 0; row < rows->rows; row++) {
        struct mr_slice bytes = mr_column_text(&rows->columns[0], row);
        mr_buf_put(&letter->piece, bytes.data, bytes.size);
    }
    return 0;
}

static int
find(struct ask *ask, const struct dead_source *source, const struct dead_place *place,
     struct letter *letter, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf sql;
    mr_buf_init(&sql, DEAD_SQL_MAX);
    dead_sql_show(source, place, &sql);
    const struct question question = {
        .sql = sql.data, .tenant = "", .take = take_letter, .self = letter
    };
    if (ask_sql(ask, &question, NULL, NULL, err) != 0)
        return err->code;
    if (letter->rows > 0)
        return 0;
    return mr_fail(err, MR_E(NOT_FOUND), MR_FATAL,
                   "there is no dead letter %s/%" PRId32 "/%" PRId64
                   ": see millrace dead list --tenant %s",
                   place->topic, place->partition, place->offset, source->tenant);
}

/* Bytes [from, from + size) into letter->piece. */
static int
fetch(struct ask *ask, const struct dead_source *source, const struct dead_place *place,
      struct letter *letter, int64_t range[2], struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf sql;
    mr_buf_init(&sql, DEAD_SQL_MAX);
    dead_sql_original(source, place, range[0], range[1], &sql);
    const struct question question = {
        .sql = sql.data, .tenant = "", .take = take_piece, .self = letter
    };
    mr_buf_reset(&letter->piece);
    if (ask_sql(ask, &question, NULL, NULL, err) != 0)
        return err->code;
    if ((int64_t)letter->piece.size != range[1])
        return mr_fail(err, MR_E(CORRUPT), MR_FATAL,
                       "the original has %" PRId64 " bytes, but %zu came for %" PRId64
                       " from %" PRId64,
                       letter->bytes, letter->piece.size, range[1], range[0]);
    return 0;
}

static void
write_out(const struct mr_buf *buf)
{
    (void)fwrite(buf->data, 1, buf->size, stdout);
}

/* All of it, as it is or as base64. */
static int
write_original(struct ask *ask, const struct dead_source *source, const struct dead_place *place,
               struct letter *letter, struct mr_err *err)
{
    for (int64_t at = 0; at < letter->bytes; at += PIECE_BYTES) {
        int64_t left = letter->bytes - at;
        int64_t range[] = { at, left < PIECE_BYTES ? left : PIECE_BYTES };
        if (fetch(ask, source, place, letter, range, err) != 0)
            return err->code;
        if (!letter->options->json) {
            write_out(&letter->piece);
            continue;
        }
        mr_buf_reset(&letter->text);
        mr_base64_encode(mr_buf_slice(&letter->piece), &letter->text);
        write_out(&letter->text);
    }
    return 0;
}

static int
write_json(struct ask *ask, const struct dead_source *source, const struct dead_place *place,
           struct letter *letter, struct mr_err *err)
{
    (void)fwrite(letter->text.data, 1, letter->text.size - 1, stdout); /* all but its } */
    (void)fputs(letter->bytes < 0 ? ",\"original\":null" : ",\"original\":\"", stdout);
    if (write_original(ask, source, place, letter, err) != 0)
        return err->code;
    (void)fputs(letter->bytes < 0 ? "}\n" : "\"}\n", stdout);
    return 0;
}

static int
write_for_people(struct ask *ask, const struct dead_source *source, const struct dead_place *place,
                 struct letter *letter, struct mr_err *err)
{
    int64_t range[] = { 0, letter->bytes < SHOWN_BYTES ? letter->bytes : SHOWN_BYTES };
    if (letter->bytes > 0) {
        if (fetch(ask, source, place, letter, range, err) != 0)
            return err->code;
        dead_put_original(&letter->text, mr_buf_slice(&letter->piece));
        if (letter->bytes > SHOWN_BYTES)
            mr_buf_printf(&letter->text, "... and %" PRId64 " bytes more: --raw writes all\n",
                          letter->bytes - SHOWN_BYTES);
    }
    write_out(&letter->text);
    return 0;
}

int
dead_show(struct ask *ask, const struct dead_options *options, const struct dead_source *source,
          const struct dead_place *place, struct mr_err *err)
{
    struct letter letter = { .options = options, .bytes = -1 };
    mr_buf_init(&letter.text, TEXT_BYTES_MAX);
    mr_buf_init(&letter.piece, TEXT_BYTES_MAX);
    int code = find(ask, source, place, &letter, err);
    if (code == 0 && options->raw)
        code = write_original(ask, source, place, &letter, err);
    else if (code == 0)
        code = (options->json ? write_json : write_for_people)(ask, source, place, &letter, err);
    mr_buf_fini(&letter.text);
    mr_buf_fini(&letter.piece);
    return code;
}
