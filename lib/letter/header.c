/*
 * The header of a raw record is written by the gateway, but any Kafka client may write one too. Its
 * texts and times are stored and shown: one that a table cannot hold would make the whole table
 * unreadable.
 */
#include "letter/letter.h"

#include "millrace/v1/event.pb-c.h"

enum { PROVENANCE_VERSION = 1, ID_BYTES = 16, DEATHS_MAX = 1000000 };
static const int64_t time_us_max = 253402300799999999; /* the end of the year 9999 */

static bool
is_text(const char *text)
{
    return mr_utf8_valid(mr_slice_text(text));
}

static bool
is_time(int64_t us)
{
    return us >= 0 && us <= time_us_max;
}

const char *
mr_provenance_fault(const Millrace__V1__Provenance *p)
{
    if (p == NULL)
        return "the header \"millrace\" is no Provenance message: leave it out";
    if (p->version != PROVENANCE_VERSION)
        return "the header \"millrace\" is not of version 1, which is the one that is known here: "
               "leave it out";
    if (p->event_id.len != ID_BYTES)
        return "the event id in the header \"millrace\" is not 16 bytes long: leave the header out";
    if (!is_text(p->principal) || !is_text(p->traceparent) ||
        (p->replay_of != NULL && !is_text(p->replay_of->topic)))
        return "a text in the header \"millrace\" is not valid UTF-8: leave the header out";
    if (!is_time(p->received_us) || !is_time(p->first_dead_us))
        return "a time in the header \"millrace\" is not in the years 1970 to 9999: leave the "
               "header "
               "out";
    if (p->deaths > DEATHS_MAX)
        return "the header \"millrace\" tells of more than a million deaths: leave the header out";
    return NULL;
}
