/*
 * events: what the files of our own dialect share. An intake is one body on its way to a post; the
 * first thing in it that cannot be taken refuses the whole, in words that say what was seen and
 * what to send instead.
 */
#ifndef MR_EVENTS_H
#define MR_EVENTS_H

#include "gateway/call.h"
#include "gateway/scan.h"

enum {
    INTAKE_TEXT_MAX = 512,
    EVENT_NAME_BYTES_MAX = 1024, /* source and id together */
    EVENT_SHOWN_MAX = 64,        /* bytes of a value that an answer quotes */
};

struct intake {
    const struct call *call;
    struct post *post;
    const char *topic;
    struct mr_slice id_field; /* of each event, holds its name; data NULL: none was asked for */
    bool is_refused;
    enum fault fault;
    char text[INTAKE_TEXT_MAX];
};

/* Always false; the first refusal stays. */
bool intake_refuse(struct intake *intake, enum fault fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Refuses what the scanner could not read; false. */
bool intake_refuse_scan(struct intake *intake, const struct scan *scan);
/* NULL: there are too many. */
struct event *intake_add(struct intake *intake, struct mr_slice value);

/* ---- cloudevents.c: CloudEvents 1.0 over HTTP ---- */

enum cloudevents { CLOUDEVENTS_NONE, CLOUDEVENTS_BINARY, CLOUDEVENTS_ONE, CLOUDEVENTS_BATCH };

/* By Content-Type and the ce- headers. */
enum cloudevents cloudevents_form(struct mr_http_request *request);
bool cloudevents_take(struct intake *intake, enum cloudevents form);
/* True for media types whose data is JSON. */
bool media_is_json(struct mr_slice content_type);

#endif
