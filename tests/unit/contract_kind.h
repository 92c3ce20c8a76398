/*
 * Kinds for the tests of contract: written as .proto text, made by tools/kinds like any other.
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

/* A kind with every type and every rule. */
#define THING                                                                                                                                                                                                                     \
    THING_HEAD                                                                                                                                                                                                                    \
    "message Thing {\n" THING_OPTIONS("key: \"id\" unknown_fields: KEEP unknown_in: \"rest\" "                                                                                                                                    \
                                      "version: 1") "optional int64 id = 1" FIELD("required: "                                                                                                                                    \
                                                                                  "true alias: "                                                                                                                                  \
                                                                                  "\"number\" "                                                                                                                                   \
                                                                                  "number_or_"                                                                                                                                    \
                                                                                  "text: true") "optional int32 small = 2" FIELD("min: -5 max: 100") "optional double ratio = 3" FIELD(                                           \
        "number_or_text: true") "optional bool fine = 4;\n"                                                                                                                                                                       \
                                "optional string note = 5" FIELD("max_length: 5") "optional "                                                                                                                                     \
                                                                                  "string code = "                                                                                                                                \
                                                                                  "6" FIELD("patt"                                                                                                                                \
                                                                                            "ern:"                                                                                                                                \
                                                                                            " \"["                                                                                                                                \
                                                                                            "A-Z]"                                                                                                                                \
                                                                                            "{3}|"                                                                                                                                \
                                                                                            "none"                                                                                                                                \
                                                                                            "\"") "optional string count = 7" FIELD("number_or_text: true") "optional int64 moment = 8" FIELD(                                    \
                                                                                      "time: "                                                                                                                                    \
                                                                                      "ANY_TIME") "optional bytes blob = 9;\n"                                                                                                    \
                                                                                                  "repeated string words = 10" FIELD(                                                                                             \
                                                                                                      "max_length: 3") "repeated int64 numbers = 11;\n"                                                                           \
                                                                                                                       "repeated double ratios = 12;\n"                                                                           \
                                                                                                                       "repeated int64 moments = 13" FIELD(                                                                       \
                                                                                                                           "time: ANY_TIME") "optional string rest = 2000;\n"                                                     \
                                                                                                                                             "}\n"                                                                                \
                                                                                                                                             "message CleanThing { optional int64 id = 1; optional string note = 2;\n"            \
                                                                                                                                             "  repeated double ratios = 3; optional bool fine = 4; repeated string words = 5;\n" \
                                                                                                                                             "  optional int64 moment = 6" FIELD(                                                 \
                                                                                                                                                 "time: ANY_TIME") "optional int32 small = 7; }\n"

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
