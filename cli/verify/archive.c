/*
 * The raw objects, as facts: which ranges they claim, and what each line holds. With --since an
 * object that another one of its partition follows before that time is left out unread.
 */
#include "verify.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { LIST_PAGE = 1000, OBJECT_BYTES_MAX = 1 << 30, PARTS_MAX = 4096 };

static struct mr_field line_fields[] = { { "p", MR_TYPE_INTEGER, false },
                                         { "o", MR_TYPE_LONG, false },
                                         { "line", MR_TYPE_LONG, false },
                                         { "wrapped", MR_TYPE_LONG, false },
                                         { "is_null", MR_TYPE_BOOL, false } };
static struct mr_field range_fields[] = {
    { "p", MR_TYPE_INTEGER, false },  { "first", MR_TYPE_LONG, false },
    { "start", MR_TYPE_LONG, false }, { "next", MR_TYPE_LONG, false },
    { "lines", MR_TYPE_LONG, false }, { "sha_ok", MR_TYPE_BOOL, false },
};
static const struct mr_schema line_schema = { line_fields, MR_COUNT(line_fields) },
                              range_schema = { range_fields, MR_COUNT(range_fields) };

struct finding {
    struct verify *verify;
    struct facts *lines, *ranges;
    struct mr_buf body, inner;
    int64_t oldest[PARTS_MAX]; /* of each partition: the first offset of the oldest object read */
};

static int64_t
number_of(const struct mr_meta *meta, const char *name)
{
    const char *text = mr_meta_get(meta, name);
    return text != NULL ? strtoll(text, NULL, 10) : -1;
}

/* What {"millrace_base64":".."} wraps; false: the line is something else. */
static bool
unwrap(struct finding *f, struct mr_slice line)
{
    static const char head[] = "{\"millrace_base64\":\"", tail[] = "\"}";
    const char *text = line.data;
    size_t around = strlen(head) + strlen(tail);
    if (line.size < around || memcmp(text, head, strlen(head)) != 0 ||
        memcmp(text + line.size - strlen(tail), tail, strlen(tail)) != 0)
        return false;
    mr_buf_reset(&f->inner);
    char *room = mr_buf_extend(&f->inner, line.size);
    if (room == NULL)
        return false;
    int64_t size = mr_base64_decode(mr_slice(text + strlen(head), line.size - around), room);
    f->inner.size = size < 0 ? 0 : (size_t)size;
    return size >= 0;
}

static int64_t
hash(struct mr_slice bytes)
{
    return (int64_t)(mr_hash64(bytes.data, bytes.size, 0) >> 1);
}

static int
take_line(struct finding *f, int32_t partition, int64_t offset, struct mr_slice line,
          struct mr_err *err)
{
    struct mr_columns *row = facts_rows(f->lines);
    mr_columns_int(row, 0, partition);
    mr_columns_int(row, 1, offset);
    mr_columns_int(row, 2, hash(line));
    if (unwrap(f, line))
        mr_columns_int(row, 3, hash(mr_buf_slice(&f->inner)));
    else
        mr_columns_null(row, 3);
    mr_columns_bool(row, 4, mr_slice_is_text(line, "{\"millrace_null\":true}"));
    return facts_row(f->lines, err);
}

/* Line i is the record at offset first + i (LAW 15). */
static int
take_lines(struct finding *f, int32_t partition, int64_t first, int64_t *ret_lines,
           struct mr_err *err)
{
    const char *at = f->body.data, *end = at + f->body.size;
    *ret_lines = 0;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        if (take_line(f, partition, first + (*ret_lines)++, mr_slice(at, (size_t)(stop - at)),
                      err) != 0)
            return err->code;
        at = stop + 1;
    }
    return 0;
}

static bool
sha_is(struct mr_slice bytes, const char *expected)
{
    unsigned char digest[32];
    char text[65];
    int done = EVP_Digest(bytes.data, bytes.size, digest, NULL, EVP_sha256(), NULL);
    MR_ASSERT(done == 1);
    mr_hex(digest, sizeof(digest), text);
    return expected != NULL && strcmp(text, expected) == 0;
}

/* Of a key of ours; false: of somebody else's. */
static bool
place_of(const char *key, int32_t *ret_partition, int64_t *ret_first)
{
    int partition = -1;
    const char *name = strrchr(key, '/'), *plus = name != NULL ? strrchr(name, '+') : NULL;
    const char *folder = strstr(key, "/partition=");
    if (plus == NULL || folder == NULL || sscanf(folder, "/partition=%d/", &partition) != 1 ||
        partition < 0 || partition >= PARTS_MAX)
        return false;
    *ret_partition = partition;
    *ret_first = strtoll(plus + 1, NULL, 10);
    return true;
}

static int
note_object(struct finding *f, const char *key, struct mr_err *err)
{
    int32_t partition;
    int64_t first;
    (void)err;
    if (place_of(key, &partition, &first) && first > f->oldest[partition] &&
        first <= since_of(f->verify, MR_TOPIC_RAW, (size_t)partition))
        f->oldest[partition] = first;
    return 0;
}

static int
take_object(struct finding *f, const char *key, struct mr_err *err)
{
    int32_t partition;
    int64_t first, lines = 0;
    struct mr_meta meta = { 0 };
    if (!place_of(key, &partition, &first) || first < f->oldest[partition])
        return 0;
    mr_buf_reset(&f->body);
    if (mr_store_get(f->verify->store, key, &f->body, &meta, err) != 0 ||
        take_lines(f, partition, first, &lines, err) != 0)
        return err->code;
    struct mr_columns *row = facts_rows(f->ranges);
    mr_columns_int(row, 0, partition);
    mr_columns_int(row, 1, first);
    mr_columns_int(row, 2, number_of(&meta, "from"));
    mr_columns_int(row, 3, number_of(&meta, "next"));
    mr_columns_int(row, 4, lines);
    mr_columns_bool(row, 5, sha_is(mr_buf_slice(&f->body), mr_meta_get(&meta, "sha256")));
    return facts_row(f->ranges, err);
}

static int
each_object(struct finding *f, int (*take)(struct finding *f, const char *key, struct mr_err *err),
            struct mr_err *err)
{
    struct verify *v = f->verify;
    MR_CLEANUP(mr_freep) char *prefix = mr_printf("topics/%s/", v->topics[MR_TOPIC_RAW]);
    char after[MR_STORE_KEY_MAX + 1] = "";
    for (size_t count = LIST_PAGE; count == LIST_PAGE;) {
        MR_CLEANUP(mr_freep) struct mr_object *objects = NULL;
        if (mr_store_list(v->store, prefix, after[0] != '\0' ? after : NULL, LIST_PAGE, &objects,
                          &count, err) != 0)
            return err->code;
        for (size_t i = 0; i < count; i++)
            if (take(f, objects[i].key, err) != 0)
                return err->code;
        if (count > 0)
            (void)snprintf(after, sizeof(after), "%s", objects[count - 1].key);
    }
    return 0;
}

int
find_objects(struct verify *v, struct mr_err *err)
{
    const struct facts_shape lines = { "all_objects", &line_schema, NULL, &line_schema, NULL };
    const struct facts_shape ranges = { "ranges", &range_schema, NULL, &range_schema, NULL };
    MR_CLEANUP(facts_drop) struct facts *line_facts = NULL;
    MR_CLEANUP(facts_drop) struct facts *range_facts = NULL;
    if (facts_open(&v->ground, &lines, &line_facts, err) != 0 ||
        facts_open(&v->ground, &ranges, &range_facts, err) != 0)
        return err->code;
    static struct finding f;
    f = (struct finding){ .verify = v, .lines = line_facts, .ranges = range_facts };
    mr_buf_init(&f.body, OBJECT_BYTES_MAX);
    mr_buf_init(&f.inner, OBJECT_BYTES_MAX);
    int code = v->since_ms != VERIFY_ALL ? each_object(&f, note_object, err) : 0;
    if (code == 0)
        code = each_object(&f, take_object, err);
    mr_buf_fini(&f.body);
    mr_buf_fini(&f.inner);
    if (code != 0 || facts_close(MR_TAKE(line_facts), err) != 0)
        return err->code;
    return facts_close(MR_TAKE(range_facts), err);
}
