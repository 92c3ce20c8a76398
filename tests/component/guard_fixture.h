/*
 * For the tests of the guard: a door with a policy in a file of its own.
 */
#ifndef MR_GUARD_FIXTURE_H
#define MR_GUARD_FIXTURE_H

#include "gate.h"

#define TOPIC     "a1b2c3.pin"
#define JSON      "Content-Type: application/vnd.kafka.json.v2+json\r\n"
#define ONE       MR_SLICE("{\"records\":[{\"value\":{\"index\":1}}]}")
#define KEY       "x-api-key: key-of-ingest\r\n"
#define KEY_HASH  "sha256:135ace0bce85ea2cd837fe1bf7f3ce930a55d8a55ac8e94a41eaae51e404552a"
#define KEY2      "x-api-key: key-of-reader\r\n"
#define KEY2_HASH "sha256:36b25be79ab228d4616570f70a8298442d5a6b0b8a018d5324989f475ac43887"

struct guarded {
    struct gate gate;
    char folder[64], policy[128];
};
/* The policy's text, in which ' stands for ". */
void guarded_open(struct guarded *guarded, const char *policy);
void guarded_close(struct guarded *guarded);
/* Replaces the policy's file and tells the door, as SIGHUP does. */
int guarded_replace(struct guarded *guarded, const char *policy, struct mr_err *err);
/* True when the door's status holds the text. */
bool guarded_says(struct guarded *guarded, const char *text);
/* Writes a file beside the policy. */
void guarded_file(const struct guarded *guarded, const char *name, const char *text, unsigned mode);
/* Posts one event to the topic; the status. Fills ret when it is not NULL. */
int guarded_post(struct guarded *guarded, const char *topic, const char *headers,
                 struct answer *ret);
/* The door's figure of millrace_gateway_auth_total. */
int64_t guarded_count(struct guarded *guarded, const char *method, const char *outcome);

int policy_tests(void);
int token_tests(void);
int signed_tests(void);
int rate_tests(void);
int certificate_tests(void);

#endif
