/*
 * scan: walks over the envelope of a JSON body once and finds where the records stand. What is
 * inside a record is not parsed here: it is skipped with its strings and brackets balanced and goes
 * on byte for byte; whether it is good JSON is the validator's question.
 *
 *   struct scan scan;
 *   scan_init(&scan, body);
 *   if (scan_enter(&scan, '{'))
 *       while (scan_key(&scan, &key))
 *           scan_value(&scan, &value);
 *   if (scan_end(&scan)) ...
 *
 * After the first fault every call returns false and scan_end too: check once at the end; fault and
 * at say what and where. Slices point into the body.
 */
#ifndef MR_SCAN_H
#define MR_SCAN_H

#include "base/base.h"

enum { SCAN_DEPTH_MAX = 512 };

struct scan {
    const char *start, *at, *end;
    const char *fault; /* NULL: none so far */
    bool is_first;     /* in the container that was entered last */
};

void scan_init(struct scan *scan, struct mr_slice text);
/* The first byte of the next value, without taking it; 0 at the end. */
char scan_peek(struct scan *scan);
/* Takes an opening '{' or '['. */
bool scan_enter(struct scan *scan, char bracket);
/* The next key of the object, raw, without quotes; false behind the last one, '}' taken. */
bool scan_key(struct scan *scan, struct mr_slice *ret_key);
/* True when the list has another element; false behind the last one, ']' taken. */
bool scan_item(struct scan *scan);
/* Takes one value of any type and gives its bytes as they stand. */
bool scan_value(struct scan *scan, struct mr_slice *ret);
/* True when nothing but blanks is left and no fault was found. */
bool scan_end(struct scan *scan);

/* One whole value with its blanks around: does text hold exactly that? Scalars are checked in
 * full, containers for balance. */
bool scan_is_json(struct mr_slice text);
/* The text of a raw JSON string with its quotes, in arena; a lone surrogate becomes three bytes
 * that are no UTF-8, so that it is judged like what it is. False: a bad escape. */
bool scan_unescape(struct mr_slice string, struct mr_arena *arena, struct mr_slice *ret);

#endif
