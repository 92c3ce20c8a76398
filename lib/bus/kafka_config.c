/*
 * Properties files in three passes: lines to pairs by the rules of java.util.Properties (comments,
 * continued lines, escapes), prefixes, then names. Of a kafka-rest.properties, told by its
 * `client.` names, only those count. Names that only a Java client has are skipped, forms that
 * cannot work here are refused with the way out.
 */
#include "bus/kafka_config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define REST_PREFIX "client."

/* ---- lines to pairs ---- */

struct reader {
    const char *at, *end;
    unsigned line;
};

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static bool
is_break(char c)
{
    return c == '\n' || c == '\r';
}

static void
skip_break(struct reader *reader)
{
    bool is_pair = reader->end - reader->at > 1 && reader->at[0] == '\r' && reader->at[1] == '\n';
    reader->at += is_pair ? 2 : 1;
    reader->line++;
}

static void
skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end && is_blank(*reader->at))
        reader->at++;
}

/* \uXXXX of the basic plane as UTF-8; anything else behind a backslash stands for itself. */
static void
put_escape(struct reader *reader, struct mr_buf *ret)
{
    static const char from[] = "tnrf", to[] = "\t\n\r\f";
    char c = *reader->at++;
    const char *known = c != '\0' ? strchr(from, c) : NULL;
    unsigned code = 0;
    int used = 0;
    if (c == 'u' && reader->end - reader->at >= 4) {
        char digits[5] = { 0 };
        memcpy(digits, reader->at, 4);
        if (sscanf(digits, "%4x%n", &code, &used) == 1 && used == 4 && code > 0) {
            reader->at += 4;
            char utf8[3] = { (char)(0xe0 | code >> 12), (char)(0x80 | (code >> 6 & 0x3f)),
                             (char)(0x80 | (code & 0x3f)) };
            if (code < 0x80)
                mr_buf_put(ret, &(char){ (char)code }, 1);
            else if (code < 0x800)
                mr_buf_put(ret, (char[]){ (char)(0xc0 | code >> 6), utf8[2] }, 2);
            else
                mr_buf_put(ret, utf8, 3);
            return;
        }
    }
    mr_buf_put(ret, known != NULL ? &to[known - from] : &c, 1);
}

/* Reads up to the end of the logical line, or up to a separator when in the name. */
static void
read_text(struct reader *reader, bool is_name, struct mr_buf *ret)
{
    while (reader->at < reader->end && !is_break(*reader->at)) {
        char c = *reader->at;
        if (is_name && (c == '=' || c == ':' || is_blank(c)))
            return;
        reader->at++;
        if (c != '\\') {
            mr_buf_put(ret, &c, 1);
        } else if (reader->at < reader->end && is_break(*reader->at)) {
            skip_break(reader);
            skip_blanks(reader);
        } else if (reader->at < reader->end) {
            put_escape(reader, ret);
        }
    }
}

/* False at the end of the text. */
static bool
read_pair(struct reader *reader, struct mr_buf *name, struct mr_buf *value, unsigned *ret_line)
{
    for (;;) {
        while (reader->at < reader->end && (is_blank(*reader->at) || is_break(*reader->at))) {
            if (is_break(*reader->at))
                skip_break(reader);
            else
                reader->at++;
        }
        if (reader->at == reader->end)
            return false;
        if (*reader->at != '#' && *reader->at != '!')
            break;
        while (reader->at < reader->end && !is_break(*reader->at))
            reader->at++;
    }
    *ret_line = reader->line;
    mr_buf_reset(name);
    mr_buf_reset(value);
    read_text(reader, true, name);
    skip_blanks(reader);
    if (reader->at < reader->end && (*reader->at == '=' || *reader->at == ':')) {
        reader->at++;
        skip_blanks(reader);
    }
    read_text(reader, false, value);
    return true;
}

static int
add(struct kafka_config *config, const char *name, const char *value, unsigned line,
    struct mr_err *err)
{
    if (config->count == KAFKA_CONFIG_COUNT_MAX)
        return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL, "%s: more than %d settings", config->file,
                       KAFKA_CONFIG_COUNT_MAX);
    config->settings =
        mr_realloc(config->settings, (config->count + 1) * sizeof(*config->settings));
    config->settings[config->count++] =
        (struct kafka_setting){ .name = mr_strdup(name), .value = mr_strdup(value), .line = line };
    return 0;
}

static int
read_pairs(struct mr_slice text, struct kafka_config *config, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf name, value;
    struct reader reader = { .at = text.data,
                             .end = (const char *)text.data + text.size,
                             .line = 1 };
    unsigned line;
    mr_buf_init(&name, KAFKA_CONFIG_BYTES_MAX);
    mr_buf_init(&value, KAFKA_CONFIG_BYTES_MAX);
    while (read_pair(&reader, &name, &value, &line)) {
        const char *key = name.data != NULL ? name.data : "";
        if (key[0] == '\0' || strlen(key) != name.size ||
            (value.data != NULL && strlen(value.data) != value.size))
            return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s line %u: expected name=value",
                           config->file, line);
        if (add(config, key, value.data != NULL ? value.data : "", line, err) < 0)
            return err->code;
    }
    return 0;
}

/* ---- names ---- */

static void
free_setting(struct kafka_setting *setting)
{
    free(setting->name);
    free(setting->value);
}

static void
keep_rest_settings(struct kafka_config *config)
{
    size_t kept = 0, prefix = strlen(REST_PREFIX);
    bool is_rest = false;
    for (size_t i = 0; i < config->count; i++)
        is_rest |= strncmp(config->settings[i].name, REST_PREFIX, prefix) == 0 &&
                   strcmp(config->settings[i].name, "client.id") != 0;
    if (!is_rest)
        return;
    for (size_t i = 0; i < config->count; i++) {
        struct kafka_setting *setting = &config->settings[i];
        if (strncmp(setting->name, REST_PREFIX, prefix) != 0) {
            free_setting(setting);
            continue;
        }
        memmove(setting->name, setting->name + prefix, strlen(setting->name) - prefix + 1);
        config->settings[kept++] = *setting;
    }
    config->count = kept;
}

/* Java's, or said elsewhere: --bootstrap. */
static bool
is_skipped(const char *name)
{
    static const char *const names[] = { "bootstrap.servers",   "metadata.broker.list",
                                         "key.serializer",      "value.serializer",
                                         "key.deserializer",    "value.deserializer",
                                         "ssl.truststore.type", "ssl.truststore.password" };
    for (size_t i = 0; i < MR_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static int
refuse(const struct kafka_config *config, const struct kafka_setting *setting, const char *why,
       struct mr_err *err)
{
    return mr_fail(err, MR_E(UNSUPPORTED), MR_FATAL, "%s line %u: %s: %s", config->file,
                   setting->line, setting->name, why);
}

/* The value of `option="value"` in a JAAS line, in a buffer of the caller's; NULL: not there. */
static const char *
find_option(const char *jaas, const char *option, struct mr_buf *ret)
{
    size_t length = strlen(option);
    const char *at = jaas;
    mr_buf_reset(ret);
    while ((at = strstr(at, option)) != NULL) {
        bool starts = at == jaas || isspace((unsigned char)at[-1]);
        at += length;
        if (starts && at[0] == '=' && at[1] == '"')
            break;
    }
    if (at == NULL)
        return NULL;
    mr_buf_put(ret, "", 0);
    for (at += 2; *at != '\0' && *at != '"'; at++) {
        if (*at == '\\' && at[1] != '\0')
            at++;
        mr_buf_put(ret, at, 1);
    }
    return *at == '"' ? ret->data : NULL;
}

static int
put_jaas(struct kafka_config *ret, const struct kafka_setting *setting, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_fini) struct mr_buf text;
    mr_buf_init(&text, KAFKA_CONFIG_BYTES_MAX);
    if (strstr(setting->value, "IAMLoginModule") != NULL)
        return refuse(ret, setting,
                      "AWS_MSK_IAM is not supported by this version; use SCRAM-SHA-512 or PLAIN",
                      err);
    if (strstr(setting->value, "PlainLoginModule") == NULL &&
        strstr(setting->value, "ScramLoginModule") == NULL)
        return refuse(ret, setting, "only PlainLoginModule and ScramLoginModule are known", err);
    const char *name = find_option(setting->value, "username", &text);
    if (name == NULL)
        return refuse(ret, setting, "there is no username=\"...\"", err);
    if (add(ret, "sasl.username", name, setting->line, err) < 0)
        return err->code;
    const char *password = find_option(setting->value, "password", &text);
    if (password == NULL)
        return refuse(ret, setting, "there is no password=\"...\"", err);
    return add(ret, "sasl.password", password, setting->line, err);
}

static int
put_setting(struct kafka_config *ret, const struct kafka_setting *setting, struct mr_err *err)
{
    const char *name = setting->name, *value = setting->value;
    if (name[0] == '\0')
        return refuse(ret, setting, "there is no name behind " REST_PREFIX, err);
    if (is_skipped(name))
        return 0;
    if (strcmp(name, "sasl.jaas.config") == 0)
        return put_jaas(ret, setting, err);
    if (strcmp(name, "sasl.mechanism") == 0 || strcmp(name, "sasl.mechanisms") == 0) {
        if (strcmp(value, "AWS_MSK_IAM") == 0)
            return refuse(
                ret, setting,
                "AWS_MSK_IAM is not supported by this version; use SCRAM-SHA-512 or PLAIN", err);
        return add(ret, "sasl.mechanisms", value, setting->line, err);
    }
    if (strcmp(name, "sasl.client.callback.handler.class") == 0)
        return refuse(ret, setting, "Java classes cannot be loaded here", err);
    if (strcmp(name, "ssl.truststore.location") == 0) {
        size_t length = strlen(value);
        if (length < 4 || strcmp(value + length - 4, ".pem") != 0)
            return refuse(ret, setting,
                          "only PEM files can be read; export the certificates with keytool "
                          "-exportcert -rfc and name the file *.pem",
                          err);
        return add(ret, "ssl.ca.location", value, setting->line, err);
    }
    if (strcmp(name, "ssl.endpoint.identification.algorithm") == 0)
        return add(ret, name, value[0] == '\0' ? "none" : "https", setting->line, err);
    return add(ret, name, value, setting->line, err);
}

/* ---- the whole ---- */

void
kafka_config_fini(struct kafka_config *config)
{
    for (size_t i = 0; i < config->count; i++)
        free_setting(&config->settings[i]);
    free(config->settings);
    free(config->file);
    *config = (struct kafka_config){ 0 };
}

int
kafka_config_parse(const char *file, struct mr_slice text, struct kafka_config *ret,
                   struct mr_err *err)
{
    MR_CLEANUP(kafka_config_fini) struct kafka_config pairs = { .file = mr_strdup(file) };
    MR_CLEANUP(kafka_config_fini) struct kafka_config done = { .file = mr_strdup(file) };
    if (text.size > KAFKA_CONFIG_BYTES_MAX)
        return mr_fail(err, MR_E(TOO_LARGE), MR_FATAL, "%s: more than %d bytes", file,
                       KAFKA_CONFIG_BYTES_MAX);
    if (read_pairs(text, &pairs, err) < 0)
        return err->code;
    keep_rest_settings(&pairs);
    for (size_t i = 0; i < pairs.count; i++)
        if (put_setting(&done, &pairs.settings[i], err) < 0)
            return err->code;
    *ret = done;
    done = (struct kafka_config){ 0 };
    return 0;
}

int
kafka_config_read(const char *file, struct kafka_config *ret, struct mr_err *err)
{
    FILE *stream = fopen(file, "rb");
    if (stream == NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "cannot open %s: %s", file, strerror(errno));
    MR_CLEANUP(mr_freep) char *text = mr_alloc(KAFKA_CONFIG_BYTES_MAX + 1);
    size_t size = fread(text, 1, KAFKA_CONFIG_BYTES_MAX + 1, stream);
    bool failed = ferror(stream) != 0;
    (void)fclose(stream);
    if (failed)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "cannot read %s", file);
    return kafka_config_parse(file, mr_slice(text, size), ret, err);
}
