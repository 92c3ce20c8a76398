/*
 * http: compressed request bodies: what is undone, what is refused, and what a bomb costs.
 */
#include "http_client.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum { WRAPPED = 15, RAW = -15, GZIP = 31 };

static void
put_zlib(struct mr_buf *out, int window, const void *data, size_t size)
{
    z_stream zlib = { 0 };
    assert_int_equal(deflateInit2(&zlib, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&zlib, size);
    zlib.next_in = (z_const Bytef *)data;
    zlib.avail_in = (uInt)size;
    zlib.next_out = mr_buf_extend(out, bound);
    zlib.avail_out = (uInt)bound;
    assert_int_equal(deflate(&zlib, Z_FINISH), Z_STREAM_END);
    out->size -= zlib.avail_out;
    (void)deflateEnd(&zlib);
}

static void
put_zstd(struct mr_buf *out, const void *data, size_t size)
{
    size_t bound = ZSTD_compressBound(size);
    void *room = mr_buf_extend(out, bound);
    size_t count = ZSTD_compress(room, bound, data, size, 3);
    assert_false(ZSTD_isError(count));
    out->size -= bound - count;
}

/* One request on a connection of its own; the whole answer. */
static void
post(struct fixture *fixture, const char *coding, const struct mr_buf *body, struct mr_buf *reply)
{
    struct mr_buf request;
    mr_buf_init(&request, (size_t)64 << 20);
    mr_buf_printf(&request,
                  "POST /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Encoding: %s\r\n"
                  "Content-Length: %zu\r\n\r\n",
                  coding, body->size);
    mr_buf_put(&request, body->data, body->size);
    exchange(fixture, request.data, request.size, reply);
    mr_buf_fini(&request);
}

static void
check_answer(struct fixture *fixture, const char *coding, const struct mr_buf *body,
             const char *answer)
{
    struct mr_buf reply;
    post(fixture, coding, body, &reply);
    if (strstr(reply.data, answer) == NULL)
        fail_msg("%s: expected %s, came %s", coding, answer, reply.data);
    mr_buf_fini(&reply);
}

static void
each_coding_is_undone(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int window; /* 0: zstd */
    } cases[] = { { "gzip", GZIP },          { "x-gzip", GZIP }, { "GZip", GZIP },
                  { "deflate", WRAPPED },    { "deflate", RAW }, { "zstd", 0 },
                  { "identity, gzip", GZIP } };
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        struct mr_buf body;
        mr_buf_init(&body, 4096);
        if (cases[i].window != 0)
            put_zlib(&body, cases[i].window, "hello world", 11);
        else
            put_zstd(&body, "hello world", 11);
        check_answer(&fixture, cases[i].name, &body, "POST /c hello world");
        mr_buf_fini(&body);
    }
    mr_http_close(fixture.http);
}

static void
two_codings_are_undone_last_first(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf inner, outer;
    fixture_open(&fixture, NULL);
    mr_buf_init(&inner, 4096);
    mr_buf_init(&outer, 4096);
    put_zlib(&inner, GZIP, "hello world", 11);
    put_zstd(&outer, inner.data, inner.size);
    check_answer(&fixture, "gzip, zstd", &outer, "POST /c hello world");
    check_answer(&fixture, "gzip\r\nContent-Encoding: zstd", &outer, "POST /c hello world");
    check_answer(&fixture, "zstd, gzip", &outer, "HTTP/1.1 400 ");
    mr_buf_fini(&inner);
    mr_buf_fini(&outer);
    mr_http_close(fixture.http);
}

static void
parts_of_one_format_are_joined(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf body;
    fixture_open(&fixture, NULL);
    mr_buf_init(&body, 4096);
    put_zlib(&body, GZIP, "hello ", 6);
    put_zlib(&body, GZIP, "", 0);
    put_zlib(&body, GZIP, "world", 5);
    check_answer(&fixture, "gzip", &body, "POST /c hello world");
    mr_buf_reset(&body);
    put_zstd(&body, "hello ", 6);
    put_zstd(&body, "world", 5);
    check_answer(&fixture, "zstd", &body, "POST /c hello world");
    mr_buf_fini(&body);
    mr_http_close(fixture.http);
}

static void
a_chunked_body_is_undone_and_an_empty_one_is_empty(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf body, request, reply;
    fixture_open(&fixture, NULL);
    mr_buf_init(&body, 4096);
    mr_buf_init(&request, 4096);
    put_zlib(&body, GZIP, "hello", 5);
    mr_buf_printf(&request,
                  "POST /c HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
                  body.size);
    mr_buf_put(&request, body.data, body.size);
    mr_buf_text(&request, "\r\n0\r\n\r\n"
                          "POST /e HTTP/1.1\r\nHost: x\r\nContent-Encoding: zstd\r\n"
                          "Content-Length: 0\r\nConnection: close\r\n\r\n");
    exchange(&fixture, request.data, request.size, &reply);
    assert_non_null(strstr(reply.data, "POST /c hello"));
    assert_non_null(strstr(reply.data, "POST /e "));
    mr_buf_fini(&body);
    mr_buf_fini(&request);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

static void
unknown_codings_are_named_with_what_is_offered(void **state)
{
    (void)state;
    static const struct {
        const char *coding, *text;
    } cases[] = {
        { "br", "the Content-Encoding br is not taken; send gzip, deflate, zstd or none" },
        { "gzip, aws-chunked", "the Content-Encoding aws-chunked is not taken" },
        { "\"gzip\"", "the Content-Encoding  is not taken" },
        { "gzip, gzip, gzip", "two content codings at the most" },
    };
    struct fixture fixture;
    struct mr_buf body, reply;
    fixture_open(&fixture, NULL);
    mr_buf_init(&body, 4096);
    mr_buf_text(&body, "hello");
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        post(&fixture, cases[i].coding, &body, &reply);
        assert_memory_equal(reply.data, "HTTP/1.1 415 Unsupported Media Type\r\n", 37);
        assert_non_null(strstr(reply.data, "\r\nAccept-Encoding: gzip, deflate, zstd\r\n"));
        if (strstr(reply.data, cases[i].text) == NULL)
            fail_msg("%s: %s", cases[i].coding, reply.data);
        mr_buf_fini(&reply);
    }
    assert_int_equal(fixture.handled, 0);
    mr_buf_fini(&body);
    mr_http_close(fixture.http);
}

/* Every cut, and every byte more, of a good body. */
static void
check_only_whole(struct fixture *fixture, const char *coding, const struct mr_buf *good)
{
    struct mr_buf body;
    mr_buf_init(&body, 65536);
    for (size_t size = 1; size < good->size; size++) {
        mr_buf_reset(&body);
        mr_buf_put(&body, good->data, size);
        check_answer(fixture, coding, &body, "HTTP/1.1 400 ");
    }
    static const char *const tails[] = { "x", "\037", "\037\213", "\n" };
    for (size_t i = 0; i < MR_COUNT(tails); i++) {
        mr_buf_reset(&body);
        mr_buf_put(&body, good->data, good->size);
        mr_buf_text(&body, tails[i]);
        check_answer(fixture, coding, &body, "HTTP/1.1 400 ");
    }
    mr_buf_reset(&body);
    mr_buf_put(&body, good->data, good->size);
    mr_buf_put(&body, "", 1);
    check_answer(fixture, coding, &body, "HTTP/1.1 400 ");
    assert_int_equal(fixture->handled, 0);
    mr_buf_fini(&body);
}

static void
cut_bodies_and_garbage_behind_them_are_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf body;
    fixture_open(&fixture, NULL);
    mr_buf_init(&body, 4096);
    put_zlib(&body, GZIP, "hello world", 11);
    check_only_whole(&fixture, "gzip", &body);
    mr_buf_reset(&body);
    put_zlib(&body, WRAPPED, "hello world", 11);
    check_only_whole(&fixture, "deflate", &body);
    mr_buf_reset(&body);
    put_zstd(&body, "hello world", 11);
    check_only_whole(&fixture, "zstd", &body);
    mr_buf_fini(&body);
    mr_http_close(fixture.http);
}

static void
a_body_that_lies_leaves_the_connection_open(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf reply;
    const char text[] = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
                        "Content-Length: 5\r\n\r\nhello"
                        "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    fixture_open(&fixture, NULL);
    exchange(&fixture, text, sizeof(text) - 1, &reply);
    assert_memory_equal(reply.data, "HTTP/1.1 400 ", 13);
    assert_non_null(strstr(reply.data, "the body is not what its Content-Encoding says"));
    assert_non_null(strstr(reply.data, "GET /b "));
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

/* ---- limits ---- */

/* Bytes that do not shrink. */
static void
put_noise(struct mr_buf *out, size_t size)
{
    unsigned seed = 7;
    unsigned char *bytes = mr_buf_extend(out, size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(rand_r(&seed) >> 8);
}

static void
an_inflated_body_has_a_largest_size(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf plain, body;
    fixture_open(&fixture, &(struct mr_http_limits){ .body_bytes_max = 40000 });
    mr_buf_init(&plain, 65536);
    mr_buf_init(&body, 65536);
    for (size_t size = 40000; size <= 40001; size++) {
        const char *answer = size == 40000 ? "HTTP/1.1 200 " : "HTTP/1.1 413 ";
        mr_buf_reset(&plain);
        memset(mr_buf_extend(&plain, size), 'a', size);
        mr_buf_reset(&body);
        put_zlib(&body, GZIP, plain.data, plain.size);
        check_answer(&fixture, "gzip", &body, answer);
        mr_buf_reset(&body);
        put_zstd(&body, plain.data, plain.size);
        check_answer(&fixture, "zstd", &body, answer);
    }
    check_answer(&fixture, "zstd", &body, "larger than this server takes when it is inflated");
    mr_buf_fini(&plain);
    mr_buf_fini(&body);
    mr_http_close(fixture.http);
}

/* The ratio counts beyond 64 KiB and against the bytes on the wire. */
static void
a_body_inflates_by_a_largest_ratio(void **state)
{
    (void)state;
    enum { NOISE = 1000, RATIO = 10 };
    struct fixture fixture;
    struct mr_buf plain, body;
    fixture_open(&fixture, &(struct mr_http_limits){ .inflate_ratio_max = RATIO });
    mr_buf_init(&plain, (size_t)1 << 20);
    mr_buf_init(&body, (size_t)1 << 20);
    put_noise(&plain, NOISE);
    memset(mr_buf_extend(&plain, 200000), 'a', 200000);
    put_zstd(&body, plain.data, plain.size);
    check_answer(&fixture, "zstd", &body, "inflates by a larger ratio");
    /* Its own compressed size decides where the limit is: the length at the limit is searched. */
    for (size_t more = 0; more <= 1; more++) {
        size_t size = 65536;
        do {
            mr_buf_reset(&body);
            put_zstd(&body, plain.data, ++size);
        } while (size < 65536 + body.size * RATIO + more);
        check_answer(&fixture, "zstd", &body, more == 0 ? "HTTP/1.1 200 " : "HTTP/1.1 413 ");
    }
    mr_buf_fini(&plain);
    mr_buf_fini(&body);
    mr_http_close(fixture.http);
}

static void
a_bomb_in_a_bomb_is_held_to_the_same_ratio(void **state)
{
    (void)state;
    enum { SIZE = 15 << 20 };
    struct fixture fixture;
    struct mr_buf inner, outer;
    fixture_open(&fixture, NULL);
    mr_buf_init(&inner, (size_t)32 << 20);
    mr_buf_init(&outer, (size_t)32 << 20);
    MR_CLEANUP(mr_freep) char *zeros = mr_alloc(SIZE);
    put_zlib(&inner, GZIP, zeros, SIZE);
    check_answer(&fixture, "gzip", &inner, "inflates by a larger ratio");
    put_zlib(&outer, GZIP, inner.data, inner.size);
    check_answer(&fixture, "gzip, gzip", &outer, "inflates by a larger ratio");
    mr_buf_reset(&outer);
    put_zstd(&outer, zeros, SIZE);
    check_answer(&fixture, "zstd", &outer, "inflates by a larger ratio");
    assert_int_equal(fixture.handled, 0);
    mr_buf_fini(&inner);
    mr_buf_fini(&outer);
    mr_http_close(fixture.http);
}

static void
inflated_bodies_count_among_all_bodies(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_buf plain, body, request, reply;
    fixture_open(&fixture, &(struct mr_http_limits){ .held_bytes_max = 35000 });
    fixture.park = true;
    mr_buf_init(&plain, 65536);
    mr_buf_init(&body, 65536);
    mr_buf_init(&request, 65536);
    mr_buf_init(&reply, 65536);
    memset(mr_buf_extend(&plain, 20000), 'a', 20000);
    put_zlib(&body, GZIP, plain.data, plain.size);
    mr_buf_printf(&request,
                  "POST /c HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
                  "Content-Length: %zu\r\n\r\n",
                  body.size);
    mr_buf_put(&request, body.data, body.size);
    int fd = client_open(&fixture);
    client_send(&fixture, fd, request.data, request.size);
    await_handled(&fixture, 1);
    check_answer(&fixture, "gzip", &body, "HTTP/1.1 503 ");
    check_answer(&fixture, "gzip", &body, "Retry-After: 1\r\n");
    fixture_answer(fixture.parked[0], false);
    client_await(&fixture, fd, &reply, "POST /c aaa", 1);
    fixture.park = false;
    check_answer(&fixture, "gzip", &body, "HTTP/1.1 200 ");
    (void)close(fd);
    mr_buf_fini(&plain);
    mr_buf_fini(&body);
    mr_buf_fini(&request);
    mr_buf_fini(&reply);
    mr_http_close(fixture.http);
}

int
coding_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_coding_is_undone),
        cmocka_unit_test(two_codings_are_undone_last_first),
        cmocka_unit_test(parts_of_one_format_are_joined),
        cmocka_unit_test(a_chunked_body_is_undone_and_an_empty_one_is_empty),
        cmocka_unit_test(unknown_codings_are_named_with_what_is_offered),
        cmocka_unit_test(cut_bodies_and_garbage_behind_them_are_refused),
        cmocka_unit_test(a_body_that_lies_leaves_the_connection_open),
        cmocka_unit_test(an_inflated_body_has_a_largest_size),
        cmocka_unit_test(a_body_inflates_by_a_largest_ratio),
        cmocka_unit_test(a_bomb_in_a_bomb_is_held_to_the_same_ratio),
        cmocka_unit_test(inflated_bodies_count_among_all_bodies),
    };
    return cmocka_run_group_tests_name("http codings", tests, NULL, NULL);
}
