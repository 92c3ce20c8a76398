/*
 * Words of our own, put together by a small generator that is seeded with the row number, so the
 * same row is the same record everywhere and for ever.
 */
#include "sample.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock/clock.h"

/* SplitMix64 (Steele, Lea, Flood 2014). */
struct dice {
    uint64_t state;
};

static uint64_t
roll(struct dice *dice)
{
    uint64_t z = dice->state += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static uint32_t
below(struct dice *dice, uint32_t limit)
{
    return (uint32_t)(roll(dice) % limit);
}

static bool
per_mille(struct dice *dice, uint32_t parts)
{
    return below(dice, 1000) < parts;
}

#define PICK(dice, list) ((list)[below((dice), MR_COUNT(list))])

/* ---- JSON as Python writes it ---- */

static uint32_t
next_point(const unsigned char **at)
{
    const unsigned char *c = *at;
    int more = c[0] < 0x80 ? 0 : c[0] < 0xe0 ? 1 : c[0] < 0xf0 ? 2 : 3;
    uint32_t point = more == 0 ? c[0] : c[0] & (0x3fU >> more);
    for (int i = 1; i <= more; i++)
        point = point << 6 | (c[i] & 0x3f);
    *at = c + more + 1;
    return point;
}

static void
put_text(struct mr_buf *json, const char *utf8)
{
    const unsigned char *at = (const unsigned char *)utf8;
    mr_buf_text(json, "\"");
    while (*at != '\0') {
        uint32_t point = next_point(&at);
        if (point == '"' || point == '\\')
            mr_buf_printf(json, "\\%c", (char)point);
        else if (point >= 0x20 && point < 0x7f)
            mr_buf_printf(json, "%c", (char)point);
        else if (point < 0x10000)
            mr_buf_printf(json, "\\u%04x", point);
        else
            mr_buf_printf(json, "\\u%04x\\u%04x", 0xd800 + ((point - 0x10000) >> 10),
                          0xdc00 + ((point - 0x10000) & 0x3ff));
    }
    mr_buf_text(json, "\"");
}

static void
put_member(struct mr_buf *json, const char *name, const char *value)
{
    mr_buf_printf(json, "%s\"%s\": ", json->data[json->size - 1] == '{' ? "" : ", ", name);
    put_text(json, value);
}

/* ---- words ---- */

static const char *const categories[] = {
    "art",     "beauty",     "christmas",    "diy-and-crafts", "education", "event-planning",
    "finance", "home-decor", "mens-fashion", "quotes",         "tattoos",   "travel",
    "vehicles"
};
static const char *const adjectives[] = {
    "Bright", "Quiet", "Simple", "Golden", "Paper",  "Winter",
    "Small",  "Wild",  "Clever", "Warm",   "Rustic", "Modern"
};
static const char *const things[] = { "lanterns", "gardens",  "stamps",  "corners", "budgets",
                                      "journeys", "ribbons",  "engines", "letters", "recipes",
                                      "sketches", "weekends", "shelves", "lines" };
static const char *const endings[] = { "for a rainy day",       "in ten minutes",
                                       "that last for years",   "\u2013 a short guide",
                                       "you can make at home",  "from caf\u00e9s in M\u00e1laga",
                                       "without spending much", "\u00e0 la carte",
                                       "our readers loved",     "with a twist \u2728" };
static const char *const emoji[] = { "\U0001f384", "\U0001f697", "\U0001f3a8", "\u2764\ufe0f",
                                     "\U0001f469\u200d\U0001f3a8" };
static const char *const posters[] = { "Mill & Meadow",      "The Paper Wheel", "Nordlicht Studio",
                                       "Caf\u00e9 Ol\u00e9", "Harbour Notes",   "Tin Roof Travels",
                                       "Stone | Water",      "Ana's Workshop",  "Seven Gables",
                                       "R\u00edo Verde",     "Plain Living",    "Copper Kettle" };
static const char *const countries[] = { "Albania",
                                         "Algeria",
                                         "Aruba",
                                         "Bolivia",
                                         "Bouvet Island (Bouvetoya)",
                                         "Cambodia",
                                         "Cote d'Ivoire",
                                         "Denmark",
                                         "Ecuador",
                                         "Fiji",
                                         "Georgia",
                                         "Holy See (Vatican City State)",
                                         "Iceland",
                                         "Jamaica",
                                         "Kenya",
                                         "Latvia",
                                         "Malta",
                                         "Nepal",
                                         "Oman",
                                         "Peru",
                                         "Qatar",
                                         "Rwanda",
                                         "Samoa",
                                         "Togo",
                                         "Uruguay",
                                         "Vietnam",
                                         "Western Sahara",
                                         "Yemen",
                                         "Zambia" };
static const char *const first_names[] = { "Aaron", "Bea",  "Carla", "Dmitri", "Elif", "Femi",
                                           "Greta", "Hugo", "Ines",  "Jo",     "Kofi", "Lena" };
static const char *const last_names[] = { "Abbott", "Berg",   "Costa", "Dahl",   "Evans", "Fox",
                                          "Gomez",  "Hansen", "Ito",   "Jansen", "Khan",  "Lopez" };

/* ---- pin ---- */

static void
put_title(struct dice *dice, struct mr_buf *json)
{
    char text[200];
    (void)snprintf(text, sizeof(text), "%u %s %s %s", 3 + below(dice, 40), PICK(dice, adjectives),
                   PICK(dice, things), PICK(dice, endings));
    put_member(json, "title",
               per_mille(dice, 7)   ? "No Title Data Available"
               : per_mille(dice, 1) ? ""
                                    : text);
}

static void
put_description(struct dice *dice, struct mr_buf *json)
{
    char text[300];
    const char *tail = per_mille(dice, 400)  ? "and many more\u2026\u00a0"
                       : per_mille(dice, 20) ? PICK(dice, emoji)
                                             : "and more.";
    (void)snprintf(text, sizeof(text), "%s %s %s, %s %s %s, %s", PICK(dice, adjectives),
                   PICK(dice, things), PICK(dice, endings), PICK(dice, adjectives),
                   PICK(dice, things), PICK(dice, endings), tail);
    put_member(json, "description",
               per_mille(dice, 68)   ? "No description available Story format"
               : per_mille(dice, 16) ? "No description available"
               : per_mille(dice, 2)  ? "Untitled"
               : per_mille(dice, 1)  ? ""
                                     : text);
}

static void
put_poster(struct dice *dice, struct mr_buf *json)
{
    char name[100], followers[32];
    uint32_t sort = below(dice, 1000);
    if (per_mille(dice, 7)) {
        put_member(json, "poster_name", "User Info Error");
        put_member(json, "follower_count", "User Info Error");
        return;
    }
    (void)snprintf(name, sizeof(name), "%s%s %u%s", per_mille(dice, 9) ? " " : "",
                   PICK(dice, posters), below(dice, 300), per_mille(dice, 9) ? " " : "");
    if (sort < 742)
        (void)snprintf(followers, sizeof(followers), "%uk", 1 + below(dice, 999));
    else if (sort < 821)
        (void)snprintf(followers, sizeof(followers), "%uM", 1 + below(dice, 15));
    else
        (void)snprintf(followers, sizeof(followers), "%u", below(dice, 1000));
    put_member(json, "poster_name", name);
    put_member(json, "follower_count", followers);
}

static void
put_unique_id(struct dice *dice, struct mr_buf *json)
{
    uint64_t a = roll(dice), b = roll(dice);
    char text[40];
    (void)snprintf(text, sizeof(text),
                   "%08" PRIx64 "-%04" PRIx64 "-4%03" PRIx64 "-%04" PRIx64 "-%012" PRIx64, a >> 32,
                   a >> 16 & 0xffff, a & 0xfff, 0x8000 | (b >> 48 & 0x3fff), b & 0xffffffffffffU);
    put_member(json, "unique_id", text);
}

static void
put_tags(struct dice *dice, struct mr_buf *json)
{
    struct mr_buf tags;
    mr_buf_init(&tags, 4096);
    uint32_t count = 2 + below(dice, 7);
    for (uint32_t i = 0; i < count; i++)
        mr_buf_printf(&tags, "%s%s %s", i > 0 ? "," : "", PICK(dice, adjectives),
                      PICK(dice, things));
    put_member(json, "tag_list",
               per_mille(dice, 12) ? "N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e" : tags.data);
    mr_buf_fini(&tags);
}

void
sample_pin(uint32_t row, struct mr_buf *json)
{
    struct dice dice = { (uint64_t)row << 8 | 1 };
    const char *category = PICK(&dice, categories);
    uint32_t media = below(&dice, 1000);
    bool has_image = !per_mille(&dice, 21);
    char text[200];

    mr_buf_printf(json, "{\"index\": %u", row);
    put_unique_id(&dice, json);
    put_title(&dice, json);
    put_description(&dice, json);
    put_poster(&dice, json);
    put_tags(&dice, json);
    put_member(json, "is_image_or_video",
               media < 901   ? "image"
               : media < 969 ? "multi-video(story page format)"
                             : "video");
    (void)snprintf(text, sizeof(text), "https://img.example.org/%s/%016" PRIx64 ".jpg", category,
                   roll(&dice));
    put_member(json, "image_src", has_image ? text : "Image src error.");
    mr_buf_printf(json, ", \"downloaded\": %d", has_image ? 1 : 0);
    (void)snprintf(text, sizeof(text), "Local save in /data/%s", category);
    put_member(json, "save_location", text);
    put_member(json, "category", category);
    mr_buf_text(json, "}");
}

/* ---- geo and user ---- */

static void
put_time(struct mr_buf *json, const char *name, int64_t seconds, char between)
{
    char text[MR_TIME_TEXT];
    mr_time_text(seconds * 1000000, text);
    text[10] = between;
    text[19] = '\0';
    put_member(json, name, text);
}

void
sample_geo(uint32_t row, struct mr_buf *json)
{
    enum { FIRST = 1508425982, LAST = 1666202066 }; /* 2017-10-19 15:13:02 .. 2022-10-19 17:54:26 */
    struct dice dice = { (uint64_t)row << 8 | 2 };
    mr_buf_printf(json, "{\"ind\": %u", row);
    put_time(json, "timestamp", FIRST + below(&dice, LAST - FIRST),
             per_mille(&dice, 300) ? 'T' : ' ');
    mr_buf_printf(json, ", \"latitude\": %.6g", ((double)below(&dice, 1800001) - 900000) / 10000);
    mr_buf_printf(json, ", \"longitude\": %.6g", ((double)below(&dice, 3600001) - 1800000) / 10000);
    put_member(json, "country", PICK(&dice, countries));
    mr_buf_text(json, "}");
}

void
sample_user(uint32_t row, struct mr_buf *json)
{
    enum { FIRST = 1445385600, LAST = 1508544000 }; /* 2015-10-21 .. 2017-10-21 */
    struct dice dice = { (uint64_t)row << 8 | 3 };
    mr_buf_printf(json, "{\"ind\": %u", row);
    put_member(json, "first_name", PICK(&dice, first_names));
    put_member(json, "last_name", PICK(&dice, last_names));
    mr_buf_printf(json, ", \"age\": %u", 20 + below(&dice, 41));
    put_time(json, "date_joined", FIRST + below(&dice, LAST - FIRST),
             per_mille(&dice, 300) ? 'T' : ' ');
    mr_buf_text(json, "}");
}
