/*
 * The policy's file, and the file of keys that it names. What is taken must hold together; what is
 * not has a text.
 */
#include "gateway/policy.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_BYTES = 64 };

static int
put_file(const void *data, size_t size, char ret_path[PATH_BYTES])
{
    int fd = memfd_create("policy", MFD_CLOEXEC);
    MR_ASSERT(fd >= 0);
    int failed = fchmod(fd, 0600);
    MR_ASSERT(failed == 0);
    ssize_t written = write(fd, data, size);
    MR_ASSERT(written == (ssize_t)size);
    (void)snprintf(ret_path, PATH_BYTES, "/proc/self/fd/%d", fd);
    return fd;
}

static void
check(const struct policy *policy)
{
    MR_ASSERT(policy->entries_count > 0 || policy->anonymous != NULL);
    for (int method = 0; method < METHODS; method++) {
        for (size_t i = 0; i < policy->credentials_count[method]; i++) {
            const struct credential *one = &policy->credentials[method][i];
            MR_ASSERT(policy_find(policy, (enum method)method, one->name) == one);
            MR_ASSERT(one->entry->name != NULL);
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_err err = { 0 };
    struct policy *policy = NULL;
    char keys[PATH_BYTES], own[PATH_BYTES];
    bool is_keys = size > 0 && data[0] == 'k';
    int keys_fd = -1, fd;
    if (is_keys) {
        keys_fd = put_file(data + 1, size - 1, keys);
        MR_CLEANUP(mr_freep)
        char *text = mr_printf("{\"anonymous\":{},\"jwt\":{\"jwks_file\":\"%s\",\"issuer\":\"i\","
                               "\"audience\":\"a\",\"algorithms\":[\"RS256\",\"ES256\","
                               "\"HS256\"]}}",
                               keys);
        fd = put_file(text, strlen(text), own);
    } else {
        fd = put_file(data, size, own);
    }
    int code = policy_open(own, &policy, &err);
    MR_ASSERT((code == 0) == (policy != NULL));
    MR_ASSERT((code == 0) == (err.text[0] == '\0'));
    if (policy != NULL) {
        check(policy);
        MR_ASSERT(!is_keys || policy->tokens.keys_count > 0);
    }
    policy_close(policy);
    (void)close(fd);
    if (keys_fd >= 0)
        (void)close(keys_fd);
    return 0;
}
