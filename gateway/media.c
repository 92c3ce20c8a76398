#include "gateway/media.h"

#include <strings.h>

enum { WEIGHT_MAX = 1000, SPECIFIC_MAX = 3 };

static bool
same(struct mr_slice text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

static struct mr_slice
trim(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return mr_slice(at, (size_t)(end - at));
}

/* Up to the next mark, without blanks around; *at goes behind the mark. */
static struct mr_slice
next_part(const char **at, const char *end, char mark)
{
    const char *start = *at;
    const char *stop = memchr(start, mark, (size_t)(end - start));
    *at = stop != NULL ? stop + 1 : end;
    return trim(start, stop != NULL ? stop : end);
}

enum format
media_format(struct mr_slice content_type)
{
    static const struct {
        const char *type;
        enum format format;
    } known[] = {
        { "", FORMAT_JSON },
        { "application/json", FORMAT_JSON },
        { "application/vnd.kafka+json", FORMAT_JSON },
        { "application/vnd.kafka.v2+json", FORMAT_JSON },
        { "application/vnd.kafka.json.v2+json", FORMAT_JSON },
        { "application/vnd.kafka.binary.v2+json", FORMAT_BINARY },
        { "application/octet-stream", FORMAT_BINARY },
        { "application/vnd.kafka.avro.v2+json", FORMAT_REGISTRY },
        { "application/vnd.kafka.jsonschema.v2+json", FORMAT_REGISTRY },
        { "application/vnd.kafka.protobuf.v2+json", FORMAT_REGISTRY },
    };
    const char *at = content_type.data != NULL ? content_type.data : "";
    struct mr_slice type = next_part(&at, at + content_type.size, ';');
    for (size_t i = 0; i < MR_COUNT(known); i++)
        if (same(type, known[i].type))
            return known[i].format;
    return FORMAT_UNKNOWN;
}

/* "0.5" is 500. What is no weight counts as none given. */
static int
weight_of(struct mr_slice text)
{
    const char *digits = text.data;
    int weight = 0, unit = WEIGHT_MAX;
    if (text.size == 0 || text.size > 5 || (text.size > 1 && digits[1] != '.'))
        return WEIGHT_MAX;
    for (size_t i = 0; i < text.size; i++) {
        if (i == 1)
            continue;
        if (digits[i] < '0' || digits[i] > '9')
            return WEIGHT_MAX;
        weight += (digits[i] - '0') * unit;
        unit /= 10;
    }
    return weight < WEIGHT_MAX ? weight : WEIGHT_MAX;
}

/* How exactly a range of Accept names the type: 0 not at all, 3 in full. */
static int
fit(struct mr_slice range, const char *type)
{
    const char *slash = strchr(type, '/');
    size_t major = (size_t)(slash - type) + 1;
    if (same(range, type))
        return SPECIFIC_MAX;
    if (range.size == major + 1 && ((const char *)range.data)[major] == '*' &&
        strncasecmp(range.data, type, major) == 0)
        return 2;
    return same(range, "*/*") ? 1 : 0;
}

/* The weight that the most exact range gives the type; 0: it is not accepted. */
static int
weigh(struct mr_slice accept, const char *type)
{
    const char *at = accept.data, *end = at + accept.size;
    int best = 0, weight = 0;
    while (at < end) {
        struct mr_slice element = next_part(&at, end, ',');
        const char *part = element.data, *stop = part + element.size;
        int exact = fit(next_part(&part, stop, ';'), type), own = WEIGHT_MAX;
        while (part < stop) {
            struct mr_slice parameter = next_part(&part, stop, ';');
            if (parameter.size > 2 && strncasecmp(parameter.data, "q=", 2) == 0)
                own = weight_of(mr_slice((const char *)parameter.data + 2, parameter.size - 2));
        }
        if (exact > best) {
            best = exact;
            weight = own;
        }
    }
    return weight;
}

int
media_pick(struct mr_slice accept, const char *const *offered, size_t count)
{
    int best = -1, best_weight = 0;
    MR_ASSERT(count > 0);
    if (accept.size == 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        int weight = weigh(accept, offered[i]);
        if (weight > best_weight) {
            best = (int)i;
            best_weight = weight;
        }
    }
    return best;
}
