/*
 * Kinds for the tests of contract: variants written as .proto text, and the one with every type and
 * rule in tests/support/kinds, all made by tools/kinds like any other.
 */
#ifndef MR_TEST_CONTRACT_KIND_H
#define MR_TEST_CONTRACT_KIND_H

#include "contract/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "test.h"

#define THING_HEAD                                                                                 \
    "syntax = \"proto3\";\npackage kinds.thing;\nimport \"millrace/v1/options.proto\";\n"
#define THING_OPTIONS(more)                                                                        \
    "option (millrace.v1.kind) = { name: \"thing\" output: \"CleanThing\" " more " };\n"
#define FIELD(options) " [(millrace.v1.field) = { " options " }];\n"

static inline void
write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Makes a folder for --kinds with one kind named thing; ret_dir gets its path. */
static inline void
make_thing(const char *proto, const char *sql, char ret_dir[64])
{
    char path[256];
    (void)snprintf(ret_dir, 64, "/tmp/millrace-contract-XXXXXX");
    assert_non_null(mkdtemp(ret_dir));
    (void)snprintf(path, sizeof(path), "%s/source", ret_dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/source/thing", ret_dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/source/thing/thing.proto", ret_dir);
    write_text(path, proto);
    (void)snprintf(path, sizeof(path), "%s/source/thing/clean.sql", ret_dir);
    write_text(path, sql);
    MR_CLEANUP(mr_freep)
    char *command =
        mr_printf("%s/tools/kinds %s/source %s/kinds", getenv("MILLRACE_SOURCE"), ret_dir, ret_dir);
    assert_int_equal(system(command), 0);
}

static inline void
remove_thing(const char *dir)
{
    MR_CLEANUP(mr_freep) char *command = mr_printf("rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

/* The thing of tests/support/kinds. */
static inline struct mr_contracts *
open_full_thing(void)
{
    struct mr_contracts *contracts = NULL;
    struct mr_err err = { 0 };
    MR_CLEANUP(mr_freep) char *dir = mr_printf("%s/tests/kinds", getenv("MILLRACE_BUILD"));
    if (mr_contracts_open(dir, &contracts, &err) != 0)
        fail_msg("%s", err.text);
    return contracts;
}

static inline int
open_thing(const char *proto, const char *sql, struct mr_contracts **ret, struct mr_err *err)
{
    char dir[64];
    make_thing(proto, sql, dir);
    MR_CLEANUP(mr_freep) char *kinds = mr_printf("%s/kinds", dir);
    int code = mr_contracts_open(kinds, ret, err);
    remove_thing(dir);
    return code;
}

#endif
