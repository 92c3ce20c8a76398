/*
 * line: one raw record as one line of a raw object (LAW 15).
 */
#ifndef MR_ARCHIVER_LINE_H
#define MR_ARCHIVER_LINE_H

#include "base/base.h"

enum { LINE_DEPTH_MAX = 512 };

/* Is text one JSON value by RFC 8259, in UTF-8 and at most LINE_DEPTH_MAX deep? */
bool line_is_json(struct mr_slice text);
/* Appends the value and a line feed: JSON as posted, with blanks for line breaks; {"millrace_null"
 * :true} for a record without value; {"millrace_base64":".."} for anything else. */
void line_put(struct mr_buf *lines, struct mr_slice value);

#endif
