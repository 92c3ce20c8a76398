/*
 * For the component tests of the REST proxy's consumers: exchanges with a door, said in one line.
 */
#ifndef MR_TEST_CONSUMER_FIXTURE_H
#define MR_TEST_CONSUMER_FIXTURE_H

#include "gate.h"

#define PIN "12b287eedf6d.pin"
#define V2  "Content-Type: application/vnd.kafka.v2+json\r\n"

/* Sends a request and fails the test unless the answer has this status and holds the words. */
void say(struct gate *gate, const char *method, const char *path, const char *body, int status,
         const char *words);
void say_with(struct gate *gate, const char *headers, const char *method, const char *path,
              const char *body, int status, const char *words);
/* Puts {"n":first} and so on into a partition of PIN. */
void put(struct gate *gate, int partition, int first, int count);
/* An instance with these settings: "'format':'json'"; path is /consumers/{group}/instances/c. */
void make_consumer(struct gate *gate, const char *group, const char *settings);
/* Reads until count records came, and no more; what came, as one text. The caller frees it. */
char *read_records(struct gate *gate, const char *instance, size_t count);
size_t count_of(const char *text, const char *word);

int refusal_tests(void);

#endif
