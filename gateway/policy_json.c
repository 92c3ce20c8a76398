#include "gateway/policy_read.h"

/* True when word is one of the words of text. */
static bool
has_word(const char *text, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = text; length > 0 && (at = strstr(at, word)) != NULL; at += length)
        if ((at == text || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

int
json_check_names(json_t *object, const char *known, struct mr_err *err)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "an object is expected");
    json_object_foreach(object, name, value)
    {
        if (!has_word(known, name))
            return mr_fail(err, MR_E(INVALID), MR_FATAL, "\"%s\" is not known here: there are %s",
                           name, known);
    }
    return 0;
}

static int
check_text(json_t *value, const char *field, struct mr_err *err)
{
    const char *text = json_string_value(value);
    if (text == NULL || text[0] == '\0')
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s: a text is expected", field);
    return 0;
}

int
json_take_text(json_t *object, const char *field, const char **ret, struct mr_err *err)
{
    json_t *value = json_object_get(object, field);
    if (value == NULL)
        return 0;
    if (check_text(value, field, err) != 0)
        return err->code;
    *ret = json_string_value(value);
    return 0;
}

int
json_take_number(json_t *object, const char *field, int64_t most, int64_t *ret, struct mr_err *err)
{
    json_t *value = json_object_get(object, field);
    if (value == NULL)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        json_integer_value(value) > most)
        return mr_fail(err, MR_E(INVALID), MR_FATAL,
                       "%s: a whole number from 1 to %lld is expected", field, (long long)most);
    *ret = json_integer_value(value);
    return 0;
}

int
json_take_list(json_t *object, const char *field, size_t most, json_t **ret, struct mr_err *err)
{
    json_t *value = json_object_get(object, field);
    if (value == NULL)
        return 0;
    if (!json_is_array(value) || json_array_size(value) > most)
        return mr_fail(err, MR_E(INVALID), MR_FATAL, "%s: a list of at most %zu is expected", field,
                       most);
    *ret = value;
    return 0;
}

int
json_take_texts(json_t *object, const char *field, struct mr_arena *arena, const char ***ret,
                struct mr_err *err)
{
    json_t *list = NULL, *item;
    size_t i;
    if (json_take_list(object, field, POLICY_LIST_MAX, &list, err) != 0)
        return err->code;
    if (list == NULL)
        return 0;
    const char **texts = mr_arena_alloc(arena, (json_array_size(list) + 1) * sizeof(*texts));
    json_array_foreach(list, i, item)
    {
        if (check_text(item, field, err) != 0)
            return err->code;
        texts[i] = json_string_value(item);
    }
    texts[json_array_size(list)] = NULL;
    *ret = texts;
    return 0;
}
