/*
 * One line of a commit file. Only what a snapshot needs is looked at and checked; actions and
 * fields that are not known here are allowed, as the protocol demands.
 */
#include "table/private.h"

static const struct {
    const char *name;
    int type;
    struct {
        const char *name;
        json_type type;
    } needs[2];
} actions[] = {
    { "commitInfo", MR_ACTION_COMMIT, { { NULL, JSON_NULL } } },
    { "protocol",
      MR_ACTION_PROTOCOL,
      { { "minReaderVersion", JSON_INTEGER }, { "minWriterVersion", JSON_INTEGER } } },
    { "metaData", MR_ACTION_METADATA, { { "schemaString", JSON_STRING } } },
    { "txn", MR_ACTION_TXN, { { "appId", JSON_STRING }, { "version", JSON_INTEGER } } },
    { "add", MR_ACTION_ADD, { { "path", JSON_STRING }, { "size", JSON_INTEGER } } },
    { "remove", MR_ACTION_REMOVE, { { "path", JSON_STRING } } },
};

int
mr_table_parse(struct mr_slice line, struct mr_table_action *ret, struct mr_err *err)
{
    MR_ASSERT(ret != NULL);
    *ret = (struct mr_table_action){ .type = MR_ACTION_OTHER };
    const char *text = line.data;
    size_t blank = 0;
    while (blank < line.size && strchr(" \t\r\n", text[blank]) != NULL && text[blank] != '\0')
        blank++;
    if (blank == line.size)
        return 0;
    json_error_t why;
    json_t *whole = json_loadb(text, line.size, JSON_REJECT_DUPLICATES, &why);
    if (whole == NULL)
        return mr_fail(err, MR_E(CORRUPT), MR_FATAL, "a line of the log is not JSON: %s at %d",
                       why.text, why.position);
    int code = 0;
    for (size_t i = 0; i < MR_COUNT(actions) && ret->json == NULL && code == 0; i++) {
        json_t *body = json_object_get(whole, actions[i].name);
        if (!json_is_object(body))
            continue;
        for (size_t n = 0; n < 2 && actions[i].needs[n].name != NULL && code == 0; n++) {
            json_t *need = json_object_get(body, actions[i].needs[n].name);
            if (need == NULL || json_typeof(need) != actions[i].needs[n].type)
                code = mr_fail(err, MR_E(CORRUPT), MR_FATAL,
                               "a line of the log has %s without a usable %s", actions[i].name,
                               actions[i].needs[n].name);
        }
        if (code == 0) {
            ret->type = actions[i].type;
            ret->json = json_incref(body);
        }
    }
    json_decref(whole);
    return code;
}

void
mr_table_action_fini(struct mr_table_action *action)
{
    json_decref(action->json);
    *action = (struct mr_table_action){ .type = MR_ACTION_OTHER };
}
