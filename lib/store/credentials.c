/*
 * credentials: environment first, then the shared file, as the AWS tools do. Secrets are wiped
 * after use and stand in no error text.
 */
#include "store/credentials.h"

#include <openssl/crypto.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 256 * 1024 };

void
mr_credentials_fini(struct mr_credentials *credentials)
{
    OPENSSL_cleanse(credentials, sizeof(*credentials));
}

static struct mr_slice
trim(struct mr_slice text)
{
    const char *bytes = text.data;
    while (text.size > 0 && strchr(" \t\r", bytes[0]) != NULL) {
        bytes++;
        text.size--;
    }
    while (text.size > 0 && strchr(" \t\r", bytes[text.size - 1]) != NULL)
        text.size--;
    return mr_slice(bytes, text.size);
}

/* False when it does not fit or could break out of a header line. */
static bool
take_value(struct mr_slice value, char *ret, size_t ret_bytes)
{
    const char *bytes = value.data;
    if (value.size >= ret_bytes)
        return false;
    for (size_t i = 0; i < value.size; i++)
        if (bytes[i] <= ' ' || bytes[i] > '~')
            return false;
    memcpy(ret, bytes, value.size);
    ret[value.size] = '\0';
    return true;
}

static bool
take_line(struct mr_slice line, struct mr_credentials *ret)
{
    const char *equals = memchr(line.data, '=', line.size);
    if (equals == NULL)
        return true;
    size_t before = (size_t)(equals - (const char *)line.data);
    struct mr_slice name = trim(mr_slice(line.data, before));
    struct mr_slice value = trim(mr_slice(equals + 1, line.size - before - 1));
    if (mr_slice_is_text(name, "aws_access_key_id"))
        return take_value(value, ret->key_id, sizeof(ret->key_id));
    if (mr_slice_is_text(name, "aws_secret_access_key"))
        return take_value(value, ret->secret, sizeof(ret->secret));
    if (mr_slice_is_text(name, "aws_session_token"))
        return take_value(value, ret->token, sizeof(ret->token));
    return true;
}

bool
mr_credentials_parse(struct mr_slice file, const char *profile, struct mr_credentials *ret)
{
    MR_ASSERT(profile != NULL);
    MR_CLEANUP(mr_credentials_fini) struct mr_credentials found = { 0 };
    bool inside = false;
    while (file.size > 0) {
        const char *end = memchr(file.data, '\n', file.size);
        size_t length = end != NULL ? (size_t)(end - (const char *)file.data) : file.size;
        struct mr_slice line = trim(mr_slice(file.data, length));
        const char *bytes = line.data;
        size_t taken = end != NULL ? length + 1 : length;
        file = mr_slice((const char *)file.data + taken, file.size - taken);
        if (line.size == 0 || bytes[0] == '#' || bytes[0] == ';')
            continue;
        if (bytes[0] == '[' && bytes[line.size - 1] == ']')
            inside = mr_slice_is_text(trim(mr_slice(bytes + 1, line.size - 2)), profile);
        else if (inside && !take_line(line, &found))
            return false;
    }
    if (found.key_id[0] == '\0' || found.secret[0] == '\0')
        return false;
    *ret = found;
    return true;
}

static bool
load_environment(struct mr_credentials *ret)
{
    const char *key_id = getenv("AWS_ACCESS_KEY_ID");
    const char *secret = getenv("AWS_SECRET_ACCESS_KEY");
    const char *token = getenv("AWS_SESSION_TOKEN");
    if (key_id == NULL || key_id[0] == '\0' || secret == NULL || secret[0] == '\0')
        return false;
    return take_value(mr_slice_text(key_id), ret->key_id, sizeof(ret->key_id)) &&
           take_value(mr_slice_text(secret), ret->secret, sizeof(ret->secret)) &&
           take_value(mr_slice_text(token != NULL ? token : ""), ret->token, sizeof(ret->token));
}

static bool
load_file(const char *path, const char *profile, struct mr_credentials *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    char *text = mr_alloc(FILE_BYTES_MAX);
    size_t size = 0;
    ssize_t got = 0;
    while (size < FILE_BYTES_MAX && (got = read(fd, text + size, FILE_BYTES_MAX - size)) > 0)
        size += (size_t)got;
    (void)close(fd);
    bool found = got == 0 && mr_credentials_parse(mr_slice(text, size), profile, ret);
    OPENSSL_cleanse(text, size);
    free(text);
    return found;
}

int
mr_credentials_load(struct mr_credentials *ret, struct mr_err *err)
{
    MR_ASSERT(ret != NULL);
    const char *named = getenv("AWS_SHARED_CREDENTIALS_FILE");
    const char *home = getenv("HOME");
    const char *profile = getenv("AWS_PROFILE");
    if (profile == NULL || profile[0] == '\0')
        profile = "default";
    MR_CLEANUP(mr_freep)
    char *path = named != NULL && named[0] != '\0'
                     ? mr_strdup(named)
                     : mr_printf("%s/.aws/credentials", home != NULL ? home : "");
    MR_CLEANUP(mr_credentials_fini) struct mr_credentials found = { 0 };
    if (!load_environment(&found) && !load_file(path, profile, &found))
        return mr_fail(err, MR_E(DENIED), MR_FATAL,
                       "no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put "
                       "them under [%s] in %s",
                       profile, path);
    *ret = found;
    return 0;
}
