/*
 * The header Authorization: Basic, Bearer and AWS4-HMAC-SHA256. The clock stands still, so one
 * token and one signature of the corpus are good for ever; nothing else may open the door.
 */
#include "clock/clock.h"
#include "door.h"
#include "log/log.h"

#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VALUE_BYTES_MAX = 6000, NOW_S = 1800000000 }; /* 2027-01-15T08:00:00Z */

#define GRANTS "\"grants\":[{\"tenants\":[\"*\"],\"kinds\":[\"*\"],\"rights\":[\"produce\"]}]"

static const char keys[] = "{\"keys\":[{\"kty\":\"oct\",\"k\":"
                           "\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}]}";
static const char policy[] =
    "{\"jwt\":{\"jwks_file\":\"keys.json\",\"issuer\":\"i\",\"audience\":\"a\","
    "\"algorithms\":[\"HS256\"]},"
    "\"principals\":[{\"name\":\"ann\",\"jwt\":{\"sub\":\"ann\"}," GRANTS
    ",\"basic\":{\"user\":\"ann\",\"password\":"
    "\"$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\"},"
    "\"aws\":[{\"access_key_id\":\"AKIDEXAMPLE\","
    "\"secret\":\"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\"}]}]}";
static const char body[] = "{\"records\":[{\"value\":{}}]}";

/* What of the corpus opens the door: a password, a token but for its last character, which holds
 * bits that mean nothing, and a signature. */
static const char *const good[] = {
    "YW5uOnNlY3JldA==",
    "eyJhbGciOiJIUzI1NiJ9."
    "eyJpc3MiOiJpIiwiYXVkIjoiYSIsInN1YiI6ImFubiIsImV4cCI6MTgwMDAwMDYwMH0."
    "e4PupOKZ55VhomtXe0u__O9FmUS7Bu7eX2FcxYTQGQ",
    "ec923b0fe34698a2cc3c5c6c5286841e461a564e5e86435fa2f078fdbfb2b6a3",
};

static void
put_file(const char *folder, const char *name, const char *text, char ret_path[128])
{
    (void)snprintf(ret_path, 128, "%s/%s", folder, name);
    FILE *file = fopen(ret_path, "w");
    MR_ASSERT(file != NULL);
    (void)fputs(text, file);
    int failed = fchmod(fileno(file), 0600);
    MR_ASSERT(failed == 0);
    (void)fclose(file);
}

/* The policy is read when the door is made anew too, so its files stay until the end. */
static char folder[] = "/tmp/millrace-fuzz-XXXXXX";
static char paths[2][128];

static void
drop_files(void)
{
    (void)unlink(paths[0]);
    (void)unlink(paths[1]);
    (void)rmdir(folder);
}

static void
open_door(void)
{
    if (fuzz.policy == NULL) {
        char *made = mkdtemp(folder);
        MR_ASSERT(made != NULL);
        put_file(folder, "keys.json", keys, paths[0]);
        put_file(folder, "policy.json", policy, paths[1]);
        (void)atexit(drop_files);
        fuzz.policy = paths[1];
        mr_clock_hold(1000, (int64_t)NOW_S * 1000000);
        mr_log_open("fuzz", MR_LOG_ERROR);
    }
    fuzz_open();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char lines[VALUE_BYTES_MAX + 200], value[VALUE_BYTES_MAX + 1];
    bool may_open = false;
    if (size > VALUE_BYTES_MAX)
        return 0;
    for (size_t i = 0; i < size; i++) /* what the HTTP server would refuse */
        value[i] = data[i] < 0x20 || data[i] >= 0x7f ? ' ' : (char)data[i];
    value[size] = '\0';
    open_door();
    (void)snprintf(lines, sizeof(lines), "x-amz-date: 20270115T080000Z\r\nAuthorization: %s\r\n",
                   value);
    int status = fuzz_post("/topics/" FUZZ_TOPIC, lines, (const uint8_t *)body, sizeof(body) - 1);
    for (size_t i = 0; i < MR_COUNT(good); i++)
        may_open = may_open || strstr(value, good[i]) != NULL;
    MR_ASSERT(status == 200 || status == 401);
    MR_ASSERT(status == 401 || may_open);
    MR_ASSERT(status == 200 || strcmp(value, "Basic YW5uOnNlY3JldA==") != 0);
    return 0;
}
