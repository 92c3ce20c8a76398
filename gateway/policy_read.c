#include "gateway/policy_read.h"

#include "names/names.h"
#include "sigv4/sigv4.h"

#include <crypt.h>
#include <ctype.h>
#include <stdlib.h>

enum {
    GRANTS_MAX = 100, /* of one principal */
    CLAIMS_MAX = 16,
    RATE_MAX = 1000000000,
    BYTES_RATE_MAX = 1000000000000,
    BURST_S_MAX = 3600,
    BURST_S_DEFAULT = 2,
    MAX_AGE_S_MAX = 86400,
    MAX_AGE_S_DEFAULT = 600,
    CREDENTIALS_MAX = 100000, /* of one method */
    KEY_HEX = 64,             /* SHA-256 */
    ORIGIN_BYTES_MAX = 256,
    SECRET_BYTES_MIN = 16,
    SECRET_FILE_BYTES_MAX = 4096,
};

#define INVALID(err, ...) mr_fail(err, MR_E(INVALID), MR_FATAL, __VA_ARGS__)

/* ---- grants and limits ---- */

static int
take_rights(json_t *object, struct mr_arena *arena, unsigned *ret, struct mr_err *err)
{
    static const struct {
        const char *name;
        unsigned right;
    } known[] = { { "produce", RIGHT_PRODUCE },
                  { "consume", RIGHT_CONSUME },
                  { "query", RIGHT_QUERY },
                  { "admin", RIGHT_ADMIN } };
    const char **names = NULL;
    if (json_take_texts(object, "rights", arena, &names, err) != 0)
        return err->code;
    if (names == NULL || names[0] == NULL)
        return INVALID(err, "rights: say which of produce, consume, query, admin");
    for (; *names != NULL; names++) {
        size_t i = 0;
        while (i < MR_COUNT(known) && strcmp(known[i].name, *names) != 0)
            i++;
        if (i == MR_COUNT(known))
            return INVALID(err, "rights: \"%s\" is none: there are produce, consume, query, admin",
                           *names);
        *ret |= known[i].right;
    }
    return 0;
}

/* A list of names; with "*" in it, all. */
static int
take_names(json_t *object, const char *field, bool (*ok)(struct mr_slice), struct mr_arena *arena,
           const char ***ret, struct mr_err *err)
{
    const char **names = NULL;
    if (json_take_texts(object, field, arena, &names, err) != 0)
        return err->code;
    if (names == NULL || names[0] == NULL)
        return INVALID(err, "%s: a list of names or [\"*\"] is expected", field);
    *ret = names;
    for (; *names != NULL; names++) {
        if (strcmp(*names, "*") == 0) {
            *ret = NULL;
            return 0;
        }
        if (!ok(mr_slice_text(*names)))
            return INVALID(err, "%s: \"%s\" cannot be one", field, *names);
    }
    return 0;
}

static int
take_grant(struct policy *policy, json_t *object, struct grant *ret, struct mr_err *err)
{
    if (json_check_names(object, "tenants kinds rights", err) != 0 ||
        take_names(object, "tenants", mr_tenant_ok, &policy->arena, &ret->tenants, err) != 0 ||
        take_names(object, "kinds", mr_kind_ok, &policy->arena, &ret->kinds, err) != 0 ||
        take_rights(object, &policy->arena, &ret->rights, err) != 0)
        return err->code;
    return 0;
}

static int
take_grants(struct policy *policy, json_t *object, struct entry *entry, struct mr_err *err)
{
    json_t *list = NULL, *item;
    size_t i;
    if (json_take_list(object, "grants", GRANTS_MAX, &list, err) != 0)
        return err->code;
    size_t bytes = (json_array_size(list) + 1) * sizeof(*entry->grants);
    entry->grants = memset(mr_arena_alloc(&policy->arena, bytes), 0, bytes);
    json_array_foreach(list, i, item)
    {
        if (take_grant(policy, item, &entry->grants[i], err) != 0)
            return mr_fail_in(err, "grants[%zu]", i);
        entry->grants_count++;
    }
    return 0;
}

static int
take_limits(json_t *object, struct limits *ret, struct mr_err *err)
{
    json_t *limits = json_object_get(object, "limits");
    if (limits == NULL)
        return 0;
    ret->burst_s = BURST_S_DEFAULT;
    if (json_check_names(limits, "requests_per_s bytes_per_s burst_s", err) != 0 ||
        json_take_number(limits, "requests_per_s", RATE_MAX, &ret->requests_per_s, err) != 0 ||
        json_take_number(limits, "bytes_per_s", BYTES_RATE_MAX, &ret->bytes_per_s, err) != 0 ||
        json_take_number(limits, "burst_s", BURST_S_MAX, &ret->burst_s, err) != 0)
        return mr_fail_in(err, "limits");
    return 0;
}

/* ---- credentials ---- */

static int
add(struct policy *policy, enum method method, const struct credential *credential,
    struct mr_err *err)
{
    size_t *count = &policy->credentials_count[method];
    if (*count == CREDENTIALS_MAX)
        return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL, "more than %d credentials of one kind",
                       CREDENTIALS_MAX);
    if ((*count & (*count - 1)) == 0) { /* grows at 0, 1, 2, 4 .. */
        size_t room = *count > 0 ? 2 * *count : 1;
        policy->credentials[method] =
            mr_realloc(policy->credentials[method], room * sizeof(*credential));
    }
    policy->credentials[method][(*count)++] = *credential;
    return 0;
}

static bool
is_key_hash(const char *text)
{
    static const char prefix[] = "sha256:";
    if (strncmp(text, prefix, sizeof(prefix) - 1) != 0 ||
        strlen(text) != sizeof(prefix) - 1 + KEY_HEX)
        return false;
    for (const char *at = text + sizeof(prefix) - 1; *at != '\0'; at++)
        if (!isxdigit((unsigned char)*at) || isupper((unsigned char)*at))
            return false;
    return true;
}

static int
take_keys(struct policy *policy, json_t *object, struct entry *entry, struct mr_err *err)
{
    const char **keys = NULL;
    if (json_take_texts(object, "api_keys", &policy->arena, &keys, err) != 0)
        return err->code;
    for (; keys != NULL && *keys != NULL; keys++) {
        if (!is_key_hash(*keys))
            return INVALID(err, "api_keys: \"sha256:\" and 64 hex digits in lower case are "
                                "expected: printf %%s \"$KEY\" | sha256sum");
        struct credential key = { .name = *keys + strlen("sha256:"), .entry = entry };
        if (add(policy, METHOD_KEY, &key, err) != 0)
            return err->code;
    }
    return 0;
}

/* What crypt(3) calls legacy, and what costs a guesser next to nothing, is not taken. */
static bool
is_password_hash(const char *text)
{
    return text[0] == '$' && strchr(text + 1, '$') != NULL && strncmp(text, "$1$", 3) != 0 &&
           crypt_checksalt(text) == CRYPT_SALT_OK;
}

static int
take_basic(struct policy *policy, json_t *object, struct entry *entry, struct mr_err *err)
{
    json_t *basic = json_object_get(object, "basic");
    const char *user = NULL, *password = NULL;
    if (basic == NULL)
        return 0;
    if (json_check_names(basic, "user password", err) != 0 ||
        json_take_text(basic, "user", &user, err) != 0 ||
        json_take_text(basic, "password", &password, err) != 0)
        return mr_fail_in(err, "basic");
    if (user == NULL || password == NULL || strchr(user, ':') != NULL)
        return INVALID(err, "basic: a user without ':' and a password are expected");
    if (!is_password_hash(password))
        return INVALID(err, "basic: password: a hash of crypt(3) is expected ($y$, $2b$, $6$ ..): "
                            "mkpasswd, or openssl passwd -6");
    policy->has_secrets = true;
    struct credential one = { .name = user, .secret = password, .entry = entry };
    return add(policy, METHOD_BASIC, &one, err);
}

static int
take_secret(struct policy *policy, const char *file, const char **ret, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf bytes;
    mr_buf_init(&bytes, SECRET_FILE_BYTES_MAX);
    if (policy_file(policy, file, &bytes, err) != 0 || policy_private(policy, err) != 0)
        return err->code;
    while (bytes.size > 0 && isspace((unsigned char)bytes.data[bytes.size - 1]))
        bytes.size--;
    *ret = mr_arena_copy(&policy->arena, bytes.data != NULL ? bytes.data : "", bytes.size);
    return 0;
}

static int
take_access_key(struct policy *policy, json_t *object, struct entry *entry, struct mr_err *err)
{
    struct credential key = { .entry = entry };
    const char *file = NULL;
    if (json_check_names(object, "access_key_id secret secret_file", err) != 0 ||
        json_take_text(object, "access_key_id", &key.name, err) != 0 ||
        json_take_text(object, "secret", &key.secret, err) != 0 ||
        json_take_text(object, "secret_file", &file, err) != 0)
        return err->code;
    if (key.name == NULL || (key.secret == NULL) == (file == NULL))
        return INVALID(err, "access_key_id and one of secret and secret_file are expected");
    policy->has_secrets = policy->has_secrets || key.secret != NULL;
    if (file != NULL && take_secret(policy, file, &key.secret, err) != 0)
        return err->code;
    size_t length = strlen(key.secret);
    if (length < SECRET_BYTES_MIN || length > MR_SIGV4_SECRET_MAX)
        return INVALID(err, "the secret of %s must have %d to %d characters", key.name,
                       SECRET_BYTES_MIN, MR_SIGV4_SECRET_MAX);
    key.signing = mr_arena_alloc(&policy->arena, sizeof(*key.signing));
    *key.signing = (struct mr_sigv4_key){ 0 };
    return add(policy, METHOD_SIGV4, &key, err);
}

static int
take_aws(struct policy *policy, json_t *object, struct entry *entry, struct mr_err *err)
{
    json_t *list = NULL, *item;
    size_t i;
    if (json_take_list(object, "aws", POLICY_LIST_MAX, &list, err) != 0)
        return err->code;
    json_array_foreach(list, i, item)
    {
        if (take_access_key(policy, item, entry, err) != 0)
            return mr_fail_in(err, "aws[%zu]", i);
    }
    return 0;
}

static int
take_tls(struct policy *policy, json_t *object, struct entry *entry, struct mr_err *err)
{
    const char **names = NULL;
    if (json_take_texts(object, "tls", &policy->arena, &names, err) != 0)
        return err->code;
    for (; names != NULL && *names != NULL; names++) {
        struct credential one = { .name = *names, .entry = entry };
        if (add(policy, METHOD_TLS, &one, err) != 0)
            return err->code;
    }
    return 0;
}

static int
take_claims(struct policy *policy, json_t *object, struct entry *entry, struct mr_err *err)
{
    json_t *claims = json_object_get(object, "jwt"), *value;
    const char *name;
    if (claims == NULL)
        return 0;
    size_t count = json_object_size(claims);
    if (count == 0 || count > CLAIMS_MAX || json_object_get(policy->json, "jwt") == NULL)
        return INVALID(err,
                       "jwt: 1 to %d claims like {\"sub\":\"name\"} are expected, and a section "
                       "\"jwt\" of the policy that says whose tokens are trusted",
                       CLAIMS_MAX);
    entry->claims = mr_arena_alloc(&policy->arena, count * sizeof(*entry->claims));
    json_object_foreach(claims, name, value)
    {
        struct claim *claim = &entry->claims[entry->claims_count++];
        claim->name = name;
        if (json_take_text(claims, name, &claim->value, err) != 0)
            return mr_fail_in(err, "jwt");
    }
    return 0;
}

/* ---- principals ---- */

static bool
is_principal_name(const char *name)
{
    size_t length = strlen(name);
    for (const char *at = name; *at != '\0'; at++)
        if (!isalnum((unsigned char)*at) && strchr("_.@-", *at) == NULL)
            return false;
    return length > 0 && length <= POLICY_NAME_MAX;
}

static int
take_principal(struct policy *policy, json_t *object, struct entry *entry, struct mr_err *err)
{
    if (json_check_names(object, "name api_keys aws basic jwt tls grants limits", err) != 0 ||
        json_take_text(object, "name", &entry->name, err) != 0)
        return err->code;
    if (entry->name == NULL || !is_principal_name(entry->name))
        return INVALID(err, "name: 1 to %d of letters, digits and _ . @ - are expected",
                       POLICY_NAME_MAX);
    struct credential self = { .name = entry->name, .entry = entry };
    if (add(policy, METHOD_NONE, &self, err) != 0 || take_keys(policy, object, entry, err) != 0 ||
        take_basic(policy, object, entry, err) != 0 || take_aws(policy, object, entry, err) != 0 ||
        take_claims(policy, object, entry, err) != 0 || take_tls(policy, object, entry, err) != 0 ||
        take_grants(policy, object, entry, err) != 0 ||
        take_limits(object, &entry->limits, err) != 0)
        return mr_fail_in(err, "%s", entry->name);
    return 0;
}

static int
take_anonymous(struct policy *policy, struct entry *entry, struct mr_err *err)
{
    json_t *object = json_object_get(policy->json, "anonymous");
    if (object == NULL)
        return 0;
    entry->name = "";
    policy->anonymous = entry;
    if (json_check_names(object, "grants limits", err) != 0 ||
        take_grants(policy, object, entry, err) != 0 ||
        take_limits(object, &entry->limits, err) != 0)
        return mr_fail_in(err, "anonymous");
    return 0;
}

/* ---- the whole ---- */

static int
by_credential(const void *a, const void *b)
{
    return strcmp(((const struct credential *)a)->name, ((const struct credential *)b)->name);
}

/* What two principals share says nothing about which of them is asking. */
static int
sort_credentials(struct policy *policy, struct mr_err *err)
{
    static const char *const what[METHODS] = {
        "principal ", "API key sha256:", "user ", "token of ", "access key ", "certificate name ",
    };
    for (int method = 0; method < METHODS; method++) {
        struct credential *list = policy->credentials[method];
        size_t count = policy->credentials_count[method];
        if (count > 0)
            qsort(list, count, sizeof(*list), by_credential);
        for (size_t i = 1; i < count; i++)
            if (strcmp(list[i - 1].name, list[i].name) == 0)
                return INVALID(err, "%s%s stands twice: in %s and in %s", what[method],
                               list[i].name, list[i - 1].entry->name, list[i].entry->name);
    }
    return 0;
}

static int
take_cors(struct policy *policy, struct mr_err *err)
{
    json_t *object = json_object_get(policy->json, "cors");
    struct cors *cors = &policy->cors;
    if (object == NULL)
        return 0;
    cors->max_age_s = MAX_AGE_S_DEFAULT;
    if (json_check_names(object, "origins max_age_s", err) != 0 ||
        json_take_texts(object, "origins", &policy->arena, &cors->origins, err) != 0 ||
        json_take_number(object, "max_age_s", MAX_AGE_S_MAX, &cors->max_age_s, err) != 0)
        return err->code;
    if (cors->origins == NULL || cors->origins[0] == NULL)
        return INVALID(err, "origins: a list like [\"https://app.example.org\"], or [\"*\"]");
    cors->is_any = strcmp(cors->origins[0], "*") == 0;
    for (const char **at = cors->origins; *at != NULL; at++) {
        const char *host = strstr(*at, "://");
        bool is_origin = host != NULL && host > *at && host[3] != '\0' &&
                         strpbrk(host + 3, "/?#* \t\r\n") == NULL &&
                         strlen(*at) <= ORIGIN_BYTES_MAX;
        if (!is_origin && !(cors->is_any && at == cors->origins && at[1] == NULL))
            return INVALID(err, "origins: \"%s\" is none: scheme://host[:port], or one \"*\" alone",
                           *at);
    }
    return 0;
}

int
policy_read(struct policy *policy, struct mr_err *err)
{
    json_t *list = NULL, *item;
    size_t i;
    if (json_check_names(policy->json, "principals anonymous jwt cors", err) != 0 ||
        json_take_list(policy->json, "principals", POLICY_PRINCIPALS_MAX, &list, err) != 0)
        return err->code;
    size_t bytes = (json_array_size(list) + 1) * sizeof(*policy->entries);
    policy->entries = memset(mr_arena_alloc(&policy->arena, bytes), 0, bytes);
    policy->entries_count = json_array_size(list);
    json_array_foreach(list, i, item)
    {
        if (take_principal(policy, item, &policy->entries[i], err) != 0)
            return mr_fail_in(err, "principals[%zu]", i);
    }
    if (policy->entries_count == 0 && json_object_get(policy->json, "anonymous") == NULL)
        return INVALID(err, "nobody is named in \"principals\": this would let nobody in");
    if (take_anonymous(policy, &policy->entries[policy->entries_count], err) != 0)
        return err->code;
    if (token_rules_read(policy, err) != 0)
        return mr_fail_in(err, "jwt");
    if (take_cors(policy, err) != 0)
        return mr_fail_in(err, "cors");
    return sort_credentials(policy, err);
}
