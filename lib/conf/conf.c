/*
 * Four sources, weakest first: defaults, the file of --config, the environment, the flags. Each one
 * overwrites what the one before has set, through the same check.
 */
#include "conf/conf.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/private.h"

enum { NAME_MAX_BYTES = 64, NEAR_MAX = 3, TABLES_MAX = 4 };

static const char config_flag[] = "config";

/* ---- rows ---- */

const struct mr_opt *
conf_next(const struct mr_conf *conf, const struct mr_opt *opt)
{
    size_t table = 0;
    if (opt != NULL) {
        if (opt[1].name != NULL)
            return opt + 1;
        for (bool found = false; !found; table++)
            for (const struct mr_opt *row = conf->tables[table]; row->name != NULL; row++)
                found = found || row == opt;
    }
    while (table < TABLES_MAX && conf->tables[table] != NULL && conf->tables[table]->name == NULL)
        table++;
    return table < TABLES_MAX ? conf->tables[table] : NULL;
}

const struct mr_opt *
conf_find(const struct mr_conf *conf, const char *name, size_t length)
{
    for (const struct mr_opt *opt = conf_next(conf, NULL); opt != NULL; opt = conf_next(conf, opt))
        if (strlen(opt->name) == length && memcmp(opt->name, name, length) == 0)
            return opt;
    return NULL;
}

void
conf_variable(const char *name, char *ret_variable, size_t size)
{
    (void)snprintf(ret_variable, size, "MILLRACE_%s", name);
    for (char *c = ret_variable; *c != '\0'; c++)
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

/* Edit distance (Levenshtein) of two short names. */
static size_t
distance(const char *a, size_t a_length, const char *b)
{
    size_t row[NAME_MAX_BYTES + 1];
    size_t b_length = strlen(b);
    if (a_length > NAME_MAX_BYTES || b_length > NAME_MAX_BYTES)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < step ? change : step;
        }
    }
    return row[b_length];
}

static int
unknown(const struct mr_conf *conf, const char *where, const char *name, size_t length,
        struct mr_err *err)
{
    const char *nearest = NULL;
    size_t least = NEAR_MAX + 1;
    for (const struct mr_opt *opt = conf_next(conf, NULL); opt != NULL;
         opt = conf_next(conf, opt)) {
        size_t d = distance(name, length, opt->name);
        if (d < least) {
            least = d;
            nearest = opt->name;
        }
    }
    return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s%.*s is not known%s%s; see --help", where,
                   (int)length, name, nearest != NULL ? "; did you mean " : "",
                   nearest != NULL ? nearest : "");
}

/* ---- sources ---- */

static int
load_defaults(const struct mr_conf *conf, void *options, struct mr_err *err)
{
    for (const struct mr_opt *opt = conf_next(conf, NULL); opt != NULL; opt = conf_next(conf, opt))
        if (opt->default_value != NULL && conf_set(opt, options, opt->default_value, err) != 0)
            return mr_fail_in(err, "option --%s: default", opt->name);
    return 0;
}

static int
load_member(const struct mr_conf *conf, void *options, const char *key, json_t *value,
            struct mr_err *err)
{
    const struct mr_opt *opt = conf_find(conf, key, strlen(key));
    if (opt == NULL)
        return unknown(conf, "key ", key, strlen(key), err);
    MR_CLEANUP(mr_freep) char *number = NULL;
    const char *text = json_string_value(value);
    if (json_is_integer(value))
        text = number = mr_printf("%lld", (long long)json_integer_value(value));
    else if (json_is_boolean(value))
        text = json_is_true(value) ? "true" : "false";
    if (text == NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "key %s: the value must be text, a whole number or a boolean", key);
    if (conf_set(opt, options, text, err) != 0)
        return mr_fail_in(err, "key %s", key);
    return 0;
}

static int
load_file(const struct mr_conf *conf, void *options, const char *path, struct mr_err *err)
{
    json_error_t error;
    json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    const char *key;
    json_t *value;
    int result = 0;

    if (file == NULL && error.line < 1)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s: %s", path, error.text);
    if (file == NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s:%d: %s", path, error.line, error.text);
    if (!json_is_object(file))
        result = mr_fail(err, MR_E(INVALID), MR_FATAL, "%s: must hold one JSON object", path);
    json_object_foreach(file, key, value)
    {
        result = load_member(conf, options, key, value, err);
        if (result != 0) {
            result = mr_fail_in(err, "%s", path);
            break;
        }
    }
    json_decref(file);
    return result;
}

static int
load_environment(const struct mr_conf *conf, void *options, struct mr_err *err)
{
    char variable[NAME_MAX_BYTES + 16];
    for (const struct mr_opt *opt = conf_next(conf, NULL); opt != NULL;
         opt = conf_next(conf, opt)) {
        conf_variable(opt->name, variable, sizeof(variable));
        const char *text = getenv(variable);
        if (text != NULL && conf_set(opt, options, text, err) != 0)
            return mr_fail_in(err, "variable %s", variable);
    }
    return 0;
}

/* One flag at argv[*at]: --name value, --name=value, or --name for a boolean. With options NULL it
 * is only skipped, and the file of --config is found. */
static int
load_flag(const struct mr_conf *conf, void *options, char **argv, int *at, const char **config,
          struct mr_err *err)
{
    const char *name = argv[*at] + 2;
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    bool is_config = length == sizeof(config_flag) - 1 && memcmp(name, config_flag, length) == 0;
    const struct mr_opt *opt = conf_find(conf, name, length);

    if (opt == NULL && !is_config)
        return unknown(conf, "option --", name, length, err);
    bool is_bare = opt != NULL && opt->type == MR_OPT_BOOL;
    if (value == NULL)
        value = is_bare ? "true" : argv[++*at];
    if (value == NULL)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "option --%.*s needs a value", (int)length,
                       name);
    if (is_config)
        *config = value;
    if (is_config || options == NULL)
        return 0;
    if (opt->secret)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "option --%s is a secret: give it by the environment or a file", opt->name);
    if (conf_set(opt, options, value, err) != 0)
        return mr_fail_in(err, "option --%s", opt->name);
    return 0;
}

static int
load_flags(const struct mr_conf *conf, void *options, int argc, char **argv, const char **config,
           struct mr_err *err)
{
    int rest = 0;
    bool flags_ended = false;
    for (int i = 1; i < argc; i++) {
        if (!flags_ended && strcmp(argv[i], "--") == 0) {
            flags_ended = true;
        } else if (!flags_ended && strncmp(argv[i], "--", 2) == 0) {
            if (load_flag(conf, options, argv, &i, config, err) != 0)
                return err->code;
        } else if (conf->ret_rest != NULL) {
            (*conf->ret_rest)[rest++] = argv[i];
        } else {
            return mr_fail(err, MR_E(INVALID), MR_FATAL, "\"%s\" is not an option; see --help",
                           argv[i]);
        }
    }
    if (conf->ret_rest_count != NULL)
        *conf->ret_rest_count = rest;
    return 0;
}

static int
require_all(const struct mr_conf *conf, const void *options, struct mr_err *err)
{
    for (const struct mr_opt *opt = conf_next(conf, NULL); opt != NULL;
         opt = conf_next(conf, opt)) {
        bool is_text =
            opt->type == MR_OPT_TEXT || opt->type == MR_OPT_ADDR || opt->type == MR_OPT_CHOICE;
        const char *const *text = (const void *)((const char *)options + opt->offset);
        char variable[NAME_MAX_BYTES + 16];
        conf_variable(opt->name, variable, sizeof(variable));
        MR_ASSERT(is_text || opt->default_value != NULL);
        if (is_text && *text == NULL)
            return mr_fail(err, MR_E(INVALID), MR_FATAL,
                           "option --%s is missing; give it, or set %s", opt->name, variable);
    }
    return 0;
}

static bool
answer_questions(const struct mr_conf *conf, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        MR_CLEANUP(mr_buf_fini) struct mr_buf text;
        mr_buf_init(&text, 1 << 20);
        if (strcmp(argv[i], "--help") == 0)
            conf_help(conf, &text);
        else if (strcmp(argv[i], "--reference") == 0)
            mr_conf_reference(conf, &text);
        else if (strcmp(argv[i], "--version") == 0)
            mr_buf_printf(&text, "%s %s\n", conf->process, MILLRACE_VERSION);
        else
            continue;
        (void)fwrite(text.data, 1, text.size, stdout);
        return true;
    }
    return false;
}

/* jansson too ends the process when there is no memory left: its NULL would pass for bad input. */
static void *
json_memory(size_t bytes)
{
    return mr_realloc(NULL, bytes);
}

int
mr_conf_load(const struct mr_conf *conf, void *options, int argc, char **argv, struct mr_err *err)
{
    const char *config = getenv("MILLRACE_CONFIG");
    json_set_alloc_funcs(json_memory, free);
    if (answer_questions(conf, argc, argv))
        return 1;
    if (conf->ret_rest != NULL)
        *conf->ret_rest = mr_alloc((size_t)argc * sizeof(char *));
    if (load_flags(conf, NULL, argc, argv, &config, err) != 0 ||
        load_defaults(conf, options, err) != 0 ||
        (config != NULL && load_file(conf, options, config, err) != 0) ||
        load_environment(conf, options, err) != 0 ||
        load_flags(conf, options, argc, argv, &config, err) != 0)
        return err->code;
    return require_all(conf, options, err);
}
