/*
 * sample: made-up records of the three kinds, each a pure function of its row number. They show
 * every shape that real ones have, in about its real proportion: tokens for missing values, counts
 * with k and M, texts cut with U+2026 U+00A0, emoji, blanks at the edges, both spellings of times.
 */
#ifndef MR_CLI_SAMPLE_H
#define MR_CLI_SAMPLE_H

#include "base/base.h"

/* One JSON object each, ASCII with \u escapes, as Python's json.dumps writes. */
void sample_pin(uint32_t row, struct mr_buf *ret_json);
void sample_geo(uint32_t row, struct mr_buf *ret_json);
void sample_user(uint32_t row, struct mr_buf *ret_json);

#endif
