/*
 * The floor of every HTTP door: lib/http takes the request whole and answers at once, with as many
 * bytes as the gateway's receipt has. Prints its port and serves until it is killed.
 */
#include "http/http.h"

#include <stdio.h>

enum { POLL_MS = 1000, BODY_BYTES_MAX = 16 << 20 };

static void
answer(void *self, struct mr_http_request *request)
{
    static const char body[] = "{\"offsets\":[{\"partition\":1,\"offset\":1234567,\"error_code\":"
                               "null,\"error\":null}],\"key_schema_id\":null,"
                               "\"value_schema_id\":null}";
    (void)self;
    mr_http_reply(request, &(struct mr_http_reply){ .status = 200,
                                                    .content_type = "application/json",
                                                    .body = mr_slice_text(body) });
}

int
main(void)
{
    struct mr_http *http;
    struct mr_err err = { 0 };
    struct mr_http_options options = { .host = "127.0.0.1",
                                       .limits = { .body_bytes_max = BODY_BYTES_MAX },
                                       .handler = answer };
    if (mr_http_listen(&options, &http, &err) != 0) {
        (void)fprintf(stderr, "bench_http: %s\n", err.text);
        return 1;
    }
    printf("%d\n", mr_http_port(http));
    (void)fflush(stdout);
    for (;;)
        (void)mr_http_poll(http, POLL_MS);
}
