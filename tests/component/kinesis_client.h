/*
 * A Kinesis client for the component tests, in both codings: fields and answers are JSON here, and
 * go over as CBOR when that is asked for. Data is base64 and times are seconds on this side.
 */
#ifndef MR_TEST_KINESIS_CLIENT_H
#define MR_TEST_KINESIS_CLIENT_H

#include "gate.h"

#include <jansson.h>

#define CLIENT_STREAM "streaming-12b287eedf6d-pin"
#define CLIENT_TOPIC  "12b287eedf6d.pin"
#define BOTH_CODINGS                                                                               \
    bool is_cbor = false, once_more = true;                                                        \
    once_more;                                                                                     \
    once_more = !is_cbor, is_cbor = true

/* Takes the fields. The answer's status; *ret is the body as JSON (an object without one). Checks
 * what every answer must carry. */
int client_call(struct gate *gate, bool is_cbor, const char *operation, json_t *fields,
                json_t **ret);
/* The same with a 200 that is expected. */
json_t *client_ask(struct gate *gate, bool is_cbor, const char *operation, json_t *fields);
/* An answer of 400 and above, with its type and a part of its message. */
void client_refused(struct gate *gate, bool is_cbor, const char *operation, json_t *fields,
                    const char *type, const char *words);
/* A body as it is, in the coding. */
void client_refused_body(struct gate *gate, bool is_cbor, const char *operation,
                         struct mr_slice body, const char *type, const char *words);
const char *client_text(const json_t *answer, const char *name);
/* An iterator for the shard. */
const char *client_iterator(struct gate *gate, bool is_cbor, int shard, const char *type,
                            json_t **ret_answer);
/* Adds a line to the headers of the calls that follow; NULL: none. */
void client_header(const char *line);
json_t *client_record(const char *data, const char *key); /* {"Data": base64, "PartitionKey"} */
/* Opens a gate whose topics have been seen. */
void client_open(struct gate *gate, int partitions);

int kinesis_stream_tests(void);
int kinesis_refusal_tests(void);

#endif
