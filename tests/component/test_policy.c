/*
 * The policy's file: every mistake is named with its place and the fix.
 */
#include "guard_fixture.h"

#include "gateway/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define PRINCIPAL(fields) "{'principals':[{'name':'p'," fields "}]}"
#define HASH              "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"

static const struct {
    const char *policy, *text;
} mistakes[] = {
    { "", "line 1" },
    { "[]", "an object is expected" },
    { "{}", "nobody is named" },
    { "{'principals':[]}", "nobody is named" },
    { "{'principals':[{}]}", "principals[0]: name: 1 to 64 of letters" },
    { "{'principals':[{'name':'a b'}]}", "name: 1 to 64" },
    { "{'principals':[{'name':'p','name':'q'}]}", "duplicate" },
    { "{'principles':[]}", "\"principles\" is not known here" },
    { PRINCIPAL("'apikeys':[]"), "\"apikeys\" is not known here" },
    { PRINCIPAL("'api_keys':'x'"), "api_keys: a list" },
    { PRINCIPAL("'api_keys':['secret']"), "sha256sum" },
    { PRINCIPAL("'api_keys':['sha256:ABC']"), "64 hex digits" },
    { PRINCIPAL("'api_keys':['" KEY_HASH "','" KEY_HASH "']"), "stands twice: in p and in p" },
    { "{'principals':[{'name':'p'},{'name':'p'}]}", "principal p stands twice" },
    { PRINCIPAL("'basic':{'user':'u'}"), "a user without ':' and a password" },
    { PRINCIPAL("'basic':{'user':'u:v','password':'" HASH "'}"), "a user without ':'" },
    { PRINCIPAL("'basic':{'user':'u','password':'plain'}"), "a hash of crypt(3)" },
    { PRINCIPAL("'basic':{'user':'u','password':'$1$saltsalt$abcdefgh'}"), "a hash of crypt(3)" },
    { PRINCIPAL("'grants':[{}]"), "p: grants[0]: tenants: a list of names" },
    { PRINCIPAL("'grants':[{'tenants':['*'],'kinds':['Pin'],'rights':['produce']}]"),
      "kinds: \"Pin\" cannot be one" },
    { PRINCIPAL("'grants':[{'tenants':['a.b'],'kinds':['*'],'rights':['produce']}]"),
      "tenants: \"a.b\" cannot be one" },
    { PRINCIPAL("'grants':[{'tenants':['*'],'kinds':['*']}]"), "rights: say which" },
    { PRINCIPAL("'grants':[{'tenants':['*'],'kinds':['*'],'rights':['write']}]"),
      "\"write\" is none: there are produce" },
    { PRINCIPAL("'limits':{'requests_per_s':0}"), "a whole number from 1" },
    { PRINCIPAL("'limits':{'requests':1}"), "limits: \"requests\" is not known" },
    { "{'anonymous':{'name':'x'}}", "anonymous: \"name\" is not known" },
    { PRINCIPAL("'aws':{}"), "aws: a list" },
    { PRINCIPAL("'aws':[{'access_key_id':'A'}]"), "one of secret and secret_file" },
    { PRINCIPAL("'aws':[{'access_key_id':'A','secret':'short'}]"), "16 to 255 characters" },
    { PRINCIPAL("'aws':[{'access_key_id':'A','secret_file':'none'}]"), "none: No such file" },
    { PRINCIPAL("'jwt':{'sub':'x'}"), "and a section \"jwt\"" },
    { "{'jwt':{},'principals':[{'name':'p','jwt':{}}]}", "1 to 16 claims" },
    { "{'jwt':{},'principals':[{'name':'p','jwt':{'sub':1}}]}", "p: jwt: sub: a text" },
    { "{'anonymous':{},'jwt':{}}", "jwt: algorithms: say which" },
    { "{'anonymous':{},'jwt':{'algorithms':['none']}}", "\"none\" is not taken" },
    { "{'anonymous':{},'jwt':{'algorithms':['RS256']}}", "issuer and audience are needed" },
    { "{'anonymous':{},'jwt':{'algorithms':['RS256'],'issuer':'i','audience':'a',"
      "'jwks_file':'none.json'}}",
      "none.json: No such file" },
    { "{'anonymous':{},'cors':{}}", "cors: origins: a list like" },
    { "{'anonymous':{},'cors':{'origins':['https://a','*']}}", "\"*\" is none" },
    { "{'anonymous':{},'cors':{'origins':['example.org']}}", "scheme://host" },
    { "{'anonymous':{},'cors':{'origins':['https://a/']}}", "scheme://host" },
};

static int
open_policy(const struct guarded *guarded, struct policy **ret, struct mr_err *err)
{
    MR_CLEANUP(mr_freep) char *path = mr_printf("%s/policy.json", guarded->folder);
    return policy_open(path, ret, err);
}

static void
make_folder(struct guarded *guarded)
{
    *guarded = (struct guarded){ .folder = "/tmp/millrace-policy-XXXXXX" };
    assert_non_null(mkdtemp(guarded->folder));
}

static void
drop_folder(const struct guarded *guarded)
{
    MR_CLEANUP(mr_freep) char *command = mr_printf("rm -r %s", guarded->folder);
    assert_int_equal(system(command), 0);
}

static void
every_mistake_is_named(void **state)
{
    (void)state;
    struct guarded guarded;
    make_folder(&guarded);
    for (size_t i = 0; i < MR_COUNT(mistakes); i++) {
        struct mr_err err = { 0 };
        struct policy *policy = NULL;
        guarded_file(&guarded, "policy.json", mistakes[i].policy, 0600);
        assert_int_not_equal(open_policy(&guarded, &policy, &err), 0);
        assert_null(policy);
        if (strstr(err.text, mistakes[i].text) == NULL)
            fail_msg("%s: %s", mistakes[i].policy, err.text);
    }
    drop_folder(&guarded);
}

static void
a_policy_with_secrets_must_be_private(void **state)
{
    (void)state;
    static const char secrets[] = PRINCIPAL("'basic':{'user':'u','password':'" HASH "'}");
    struct guarded guarded;
    struct policy *policy = NULL;
    make_folder(&guarded);
    static const unsigned modes[] = { 0604, 0640, 0622, 0777 };
    for (size_t i = 0; i < MR_COUNT(modes); i++) {
        struct mr_err err = { 0 };
        guarded_file(&guarded, "policy.json", secrets, modes[i]);
        assert_int_equal(open_policy(&guarded, &policy, &err), MR_E(INVALID));
        assert_non_null(strstr(err.text, "chmod 600"));
    }
    struct mr_err err = { 0 };
    guarded_file(&guarded, "policy.json", secrets, 0600);
    assert_int_equal(open_policy(&guarded, &policy, &err), 0);
    policy_close(policy);
    guarded_file(&guarded, "policy.json", PRINCIPAL("'api_keys':['" KEY_HASH "']"), 0644);
    assert_int_equal(open_policy(&guarded, &policy, &err), 0);
    policy_close(policy);
    drop_folder(&guarded);
}

static void
a_file_that_is_none_is_refused(void **state)
{
    (void)state;
    struct mr_err err = { 0 };
    struct policy *policy = NULL;
    assert_int_equal(policy_open("/nonexistent/policy.json", &policy, &err), MR_E(NOT_FOUND));
    err = (struct mr_err){ 0 };
    assert_int_equal(policy_open("/tmp", &policy, &err), MR_E(INVALID));
}

/* What people copy must be taken. */
static void
the_policy_of_the_guide_is_one(void **state)
{
    (void)state;
    static char text[64 * 1024];
    struct guarded guarded;
    struct policy *policy = NULL;
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_freep)
    char *path = mr_printf("%s/docs/guides/security.md", getenv("MILLRACE_SOURCE"));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    char *start = strstr(text, "```json\n");
    assert_non_null(start);
    start += strlen("```json\n");
    char *end = strstr(start, "```");
    assert_non_null(end);
    *end = '\0';
    make_folder(&guarded);
    guarded_file(&guarded, "policy.json", start, 0600);
    guarded_file(&guarded, "lambda.secret", "0123456789abcdef\n", 0600);
    guarded_file(
        &guarded, "jwks.json",
        "{'keys':[{'kty':'EC','crv':'P-256','x':'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVE"
        "U','y':'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0'}]}",
        0644);
    if (open_policy(&guarded, &policy, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(policy->entries_count, 5);
    policy_close(policy);
    drop_folder(&guarded);
}

int
policy_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_is_named),
        cmocka_unit_test(a_policy_with_secrets_must_be_private),
        cmocka_unit_test(a_file_that_is_none_is_refused),
        cmocka_unit_test(the_policy_of_the_guide_is_one),
    };
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
