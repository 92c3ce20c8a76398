/*
 * What the files of policy share. policy.c: files and tables; policy_read.c: principals, grants,
 * limits; policy_json.c: fields of JSON objects with errors that name them.
 */
#ifndef MR_POLICY_READ_H
#define MR_POLICY_READ_H

#include "gateway/policy.h"

#include <jansson.h>

/* Fills entries, credentials and all else from policy->json. */
int policy_read(struct policy *policy, struct mr_err *err);
/* Reads a file that the policy names, relative to the policy's folder, and keeps an eye on it. */
int policy_file(struct policy *policy, const char *name, struct mr_buf *ret_bytes,
                struct mr_err *err);
/* INVALID when the file that was read last may be opened by others. */
int policy_private(const struct policy *policy, struct mr_err *err);

/* Absent fields leave *ret as it is. known: names with blanks between. */
int json_check_names(json_t *object, const char *known, struct mr_err *err);
int json_take_text(json_t *object, const char *field, const char **ret, struct mr_err *err);
int json_take_number(json_t *object, const char *field, int64_t most, int64_t *ret,
                     struct mr_err *err);
/* A list of at most POLICY_LIST_MAX texts, ending with NULL. */
int json_take_texts(json_t *object, const char *field, struct mr_arena *arena, const char ***ret,
                    struct mr_err *err);
/* A list of anything. */
int json_take_list(json_t *object, const char *field, size_t most, json_t **ret,
                   struct mr_err *err);

#endif
