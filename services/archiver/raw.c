/*
 * Who creates an object of a name owns its range; whoever comes second adopts it and goes on behind
 * it. So two archivers on one partition can only build the same chain: the name of the next object
 * follows from the end of the last one and the log alone.
 */
#include "raw.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "line.h"

enum { LIST_PAGE = 1000, LINES_BYTES_MAX = 1 << 30 };

/* ---- names and metadata ---- */

static char *
folder_key(const char *topic, int32_t partition)
{
    return mr_printf("topics/%s/partition=%d/%s+%d+", topic, (int)partition, topic, (int)partition);
}

static char *
object_key(const char *topic, int32_t partition, int64_t first)
{
    MR_CLEANUP(mr_freep) char *folder = folder_key(topic, partition);
    return mr_printf("%s%010" PRId64 ".json", folder, first);
}

/* The offset in a key behind its folder, or -1: not one of our objects. */
static int64_t
first_of(const char *rest)
{
    char *end;
    if (rest[0] < '0' || rest[0] > '9')
        return -1;
    int64_t first = strtoll(rest, &end, 10);
    return strcmp(end, ".json") == 0 && end - rest >= 10 ? first : -1;
}

static bool
number_of(const struct mr_meta *meta, const char *name, int64_t *ret)
{
    const char *text = mr_meta_get(meta, name);
    char *end = NULL;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    *ret = strtoll(text, &end, 10);
    return *end == '\0';
}

/* What an object that is there says about itself; anything that is not of this chain is IDENTITY.
 */
static int
look(struct keeper *keeper, const char *key, const char *topic_id, int64_t *ret_from,
     int64_t *ret_next, struct mr_err *err)
{
    struct mr_meta meta;
    if (mr_store_head(keeper->store, key, NULL, &meta, err) != 0)
        return err->code;
    const char *other = mr_meta_get(&meta, "topic-id");
    if (other == NULL || !number_of(&meta, "from", ret_from) ||
        !number_of(&meta, "next", ret_next) || *ret_next <= *ret_from)
        return mr_fail(err, MR_E(IDENTITY), MR_FATAL,
                       "%s: object %s has no metadata of millrace, so it is not continued; move "
                       "the folder away or give another store",
                       mr_store_url(keeper->store), key);
    if (strcmp(other, topic_id) != 0)
        return mr_fail(err, MR_E(IDENTITY), MR_FATAL,
                       "%s: object %s is of topic id %s, the topic now has id %s: it was made "
                       "anew; move the folder away or give another store",
                       mr_store_url(keeper->store), key, other, topic_id);
    return 0;
}

/* ---- filling ---- */

static int put(struct mr_job *job, struct mr_err *err);

struct raw_object *
raw_object_new(const struct mr_part *part, int64_t from, int64_t first)
{
    MR_ASSERT(from <= first);
    struct raw_object *object = mr_alloc(sizeof(*object));
    object->work =
        (struct work){ .job = { .run = put }, .type = WORK_RAW, .opened_ms = mr_now_ms() };
    memcpy(object->topic, part->topic, sizeof(object->topic));
    mr_hex(part->topic_id, MR_TOPIC_ID_BYTES, object->topic_id);
    object->partition = part->partition;
    object->from = from;
    object->first = object->next = first;
    mr_buf_init(&object->lines, LINES_BYTES_MAX);
    return object;
}

void
raw_object_free(struct raw_object *object)
{
    mr_buf_fini(&object->lines);
    free(object);
}

bool
raw_object_continues(const struct raw_object *object, int64_t offset)
{
    return offset == object->next;
}

void
raw_object_put(struct raw_object *object, const struct mr_record *record)
{
    MR_ASSERT(raw_object_continues(object, record->offset));
    line_put(&object->lines, record->value);
    MR_ASSERT(!object->lines.failed);
    if (object->work.records++ == 0)
        object->time_ms = record->time_ms;
    object->next = record->offset + 1;
}

/* ---- the worker's part ---- */

static void
sha256(struct mr_slice bytes, char ret_hex[65])
{
    unsigned char digest[32];
    int done = EVP_Digest(bytes.data, bytes.size, digest, NULL, EVP_sha256(), NULL);
    MR_ASSERT(done == 1);
    mr_hex(digest, sizeof(digest), ret_hex);
}

static int
put(struct mr_job *job, struct mr_err *err)
{
    struct raw_object *object = (struct raw_object *)job;
    struct keeper *keeper = object->work.keeper;
    int64_t began_us = mr_now_us();
    MR_CLEANUP(mr_freep) char *key = object_key(object->topic, object->partition, object->first);
    struct mr_meta meta = { 0 };
    char hash[65];
    sha256(mr_buf_slice(&object->lines), hash);
    mr_meta_set(&meta, "topic-id", "%s", object->topic_id);
    mr_meta_set(&meta, "from", "%" PRId64, object->from);
    mr_meta_set(&meta, "next", "%" PRId64, object->next);
    mr_meta_set(&meta, "count", "%" PRId64, object->work.records);
    mr_meta_set(&meta, "sha256", "%s", hash);
    struct mr_err why = { 0 };
    int code = mr_store_put_new(keeper->store, key, mr_buf_slice(&object->lines), &meta, &why);
    object->work.took_us = mr_now_us() - began_us;
    if (code == 0)
        return 0;
    if (code != MR_E(EXISTS))
        return mr_fail(err, code, why.remedy, "raw object: %s", why.text);
    int64_t from, next;
    if (look(keeper, key, object->topic_id, &from, &next, err) != 0)
        return err->code;
    if (from != object->from)
        return mr_fail(err, MR_E(IDENTITY), MR_FATAL,
                       "object %s begins at %" PRId64 ", the chain before it ends at %" PRId64, key,
                       from, object->from);
    object->adopted = true;
    object->next = next;
    return 0;
}

void
raw_note(int64_t first, int64_t next, char ret_note[MR_POSITION_NOTE_MAX])
{
    (void)snprintf(ret_note, MR_POSITION_NOTE_MAX, "1 object=%" PRId64 " next=%" PRId64, first,
                   next);
}

/* The greatest offset among the names behind after (NULL: all), -1: none. By number: from ten
 * digits on the order of names is another one. */
static int
greatest(struct keeper *keeper, const char *folder, const char *after, int64_t *ret,
         struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *from = after != NULL ? mr_strdup(after) : NULL;
    *ret = -1;
    for (;;) {
        struct mr_object *objects = NULL;
        size_t count = 0;
        if (mr_store_list(keeper->store, folder, from, LIST_PAGE, &objects, &count, err) != 0)
            return err->code;
        for (size_t i = 0; i < count; i++) {
            int64_t first = first_of(objects[i].key + strlen(folder));
            if (first > *ret)
                *ret = first;
        }
        if (count == LIST_PAGE) {
            free(from);
            from = mr_strdup(objects[count - 1].key);
        }
        free(objects);
        if (count < LIST_PAGE)
            return 0;
    }
}

/* The last object of the chain; -1: there is none. The hint saves listing what lies before it; an
 * object whose name sorts before the hint's and is missed is adopted when its turn comes. */
static int
last_object(struct keeper *keeper, const struct mr_part *part, int64_t *ret, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *folder = folder_key(part->topic, part->partition);
    int64_t hint;
    if (part->committed != MR_NO_OFFSET && sscanf(part->note, "1 object=%" SCNd64, &hint) == 1) {
        MR_CLEANUP(mr_freep) char *key = object_key(part->topic, part->partition, hint);
        struct mr_err why = { 0 };
        int code = mr_store_head(keeper->store, key, NULL, NULL, &why);
        if (code == 0) {
            code = greatest(keeper, folder, key, ret, err);
            *ret = *ret > hint ? *ret : hint;
            return code;
        }
        if (code != MR_E(NOT_FOUND))
            return mr_fail(err, code, why.remedy, "%s", why.text);
    }
    return greatest(keeper, folder, NULL, ret, err);
}

int
raw_start(struct keeper *keeper, struct mr_part *part, int64_t *ret_last, struct mr_err *err)
{
    int64_t from;
    char topic_id[2 * MR_TOPIC_ID_BYTES + 1];
    mr_hex(part->topic_id, MR_TOPIC_ID_BYTES, topic_id);
    if (last_object(keeper, part, ret_last, err) != 0)
        return mr_fail_in(err, "raw objects of %s part %d", part->topic, (int)part->partition);
    if (*ret_last < 0) {
        part->start = keeper_is_adopted(part) ? part->committed : 0;
        if (part->committed != part->start && part->committed != MR_NO_OFFSET)
            return mr_fail(err, MR_E(IDENTITY), MR_FATAL,
                           "topic %s part %d: the group has archived up to %" PRId64
                           ", but %s holds no object of it; give the store of before",
                           part->topic, (int)part->partition, part->committed,
                           mr_store_url(keeper->store));
        return 0;
    }
    MR_CLEANUP(mr_freep) char *key = object_key(part->topic, part->partition, *ret_last);
    return look(keeper, key, topic_id, &from, &part->start, err);
}
