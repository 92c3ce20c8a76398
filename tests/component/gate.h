/*
 * For the component tests of the gateway: a door on a bus in memory, a client, and a look at what
 * stands in a topic. All in one thread but the door's own worker.
 */
#ifndef MR_TEST_GATE_H
#define MR_TEST_GATE_H

#include "bus/bus.h"
#include "bus/memory.h"
#include "gateway/door.h"
#include "gateway/reply.h"
#include "metrics/metrics.h"
#include "topics/topics.h"

#include "test.h"

#include <millrace/v1/event.pb-c.h>

enum { GATE_RECORDS_MAX = 64 };

struct gate {
    struct mr_bus *bus;
    struct mr_plan *plan;
    struct mr_metrics *metrics;
    struct door *door;
    bool is_guest;
};

struct gate_wish {               /* 0: the default in brackets */
    struct mr_bus *bus;          /* [in memory] is the gate's from then on, unless it is a guest */
    bool is_guest;               /* the bus is another gate's, which is closed later */
    int partitions;              /* [1] */
    int replicas;                /* [1] that the plan asks for */
    int64_t record_bytes_max;    /* [1048588] */
    int64_t in_flight_bytes_max; /* [24 MiB] */
    int64_t receipts_bytes_max;  /* [8 MiB] */
    int delivery_ms_max;
    size_t consumers_max;     /* [100] */
    int64_t consumer_idle_ms; /* [5 minutes] */
    bool auto_topics;
    const char *query;  /* the query service; NULL: none */
    const char *strict; /* needs the kinds that the build makes; NULL: none */
    const char *policy; /* file; NULL: none */
    struct mr_http_tls tls;
    const char *access_log; /* [off] */
    const char *topic;      /* made beforehand, with its others; NULL: none */
};
void gate_open(struct gate *gate, const struct gate_wish *wish);
void gate_close(struct gate *gate);

struct answer {
    int status;
    struct mr_buf text; /* the whole reply */
    const char *body;
};
/* Sends one request on its own connection and waits for the end of the answer. headers: complete
 * lines or "". */
void gate_call(struct gate *gate, const char *method, const char *path, const char *headers,
               struct mr_slice body, struct answer *ret);
void answer_fini(struct answer *answer);
/* The two halves of gate_call. */
int gate_send(struct gate *gate, const char *method, const char *path, const char *headers,
              struct mr_slice body);
void gate_receive(struct gate *gate, int fd, struct answer *ret); /* closes fd */
/* True when the server has sent nothing so far. */
bool gate_is_silent(struct gate *gate, int fd);
/* Steps the door until fact(self) or a failed test. */
void gate_await(struct gate *gate, bool (*fact)(void *self), void *self);

/* Everything in a topic, in the order of partitions and offsets. */
struct stored {
    size_t count;
    struct mr_buf keys[GATE_RECORDS_MAX], values[GATE_RECORDS_MAX];
    bool has_key[GATE_RECORDS_MAX], has_value[GATE_RECORDS_MAX];
    int32_t partitions[GATE_RECORDS_MAX];
    Millrace__V1__Provenance *provenance[GATE_RECORDS_MAX];
};
void stored_read(struct gate *gate, const char *topic, struct stored *ret);
void stored_fini(struct stored *stored);

int form_tests(void);

#endif
