/*
 * For the fuzz targets of native Kinesis: one body to one of the operations, which its size
 * chooses. A put is stored exactly when the answer says so.
 */
#ifndef MR_FUZZ_KINESIS_H
#define MR_FUZZ_KINESIS_H

#include "door.h"

static inline struct mr_slice
fuzz_answer_body(void)
{
    const char *body = strstr(fuzz.answer, "\r\n\r\n");
    MR_ASSERT(body != NULL);
    body += 4;
    return mr_slice(body, fuzz.answer_size - (size_t)(body - fuzz.answer));
}

/* DeleteStream is left out: the topic is needed. */
static inline struct mr_slice
fuzz_kinesis(const char *coding, const uint8_t *data, size_t size)
{
    static const char *const operations[] = { "PutRecord",   "PutRecords", "GetShardIterator",
                                              "GetRecords",  "ListShards", "DescribeStream",
                                              "ListStreams", "PutRecord",  "CreateStream" };
    char headers[256];
    const char *operation = operations[size % MR_COUNT(operations)];
    (void)snprintf(
        headers, sizeof(headers),
        "Content-Type: application/x-amz-%s-1.1\r\nX-Amz-Target: Kinesis_20131202.%s\r\n", coding,
        operation);
    fuzz_open();
    int64_t before = fuzz_stored();
    int status = fuzz_post("/", headers, data, size);
    int64_t stored = fuzz_stored() - before;
    MR_ASSERT(status == 200 || status == 400 || status == 503);
    MR_ASSERT((stored > 0) == (status == 200 && strncmp(operation, "Put", 3) == 0));
    return fuzz_answer_body();
}

#endif
