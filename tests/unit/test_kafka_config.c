/* What --kafka-config takes, as people have it, and what it refuses. */
#include "bus/kafka_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bus/bus.h"
#include "test.h"

static int
parse(const char *text, struct kafka_config *ret, struct mr_err *err)
{
    *ret = (struct kafka_config){ 0 };
    *err = (struct mr_err){ 0 };
    return kafka_config_parse("f.properties", mr_slice_text(text), ret, err);
}

static const char *
value_of(const struct kafka_config *config, const char *name)
{
    for (size_t i = 0; i < config->count; i++)
        if (strcmp(config->settings[i].name, name) == 0)
            return config->settings[i].value;
    return NULL;
}

static void
java_properties_are_read_as_java_reads_them(void **state)
{
    (void)state;
    MR_CLEANUP(kafka_config_fini) struct kafka_config config;
    struct mr_err err;
    assert_int_equal(parse("# comment\n! too\n\n  a.b = one two \r\nc:three\nd four\n"
                           "e=x\\\n   y\\=z\\u00e9\\t\\\\\nf\n",
                           &config, &err),
                     0);
    assert_int_equal(config.count, 5);
    assert_string_equal(value_of(&config, "a.b"), "one two ");
    assert_string_equal(value_of(&config, "c"), "three");
    assert_string_equal(value_of(&config, "d"), "four");
    assert_string_equal(value_of(&config, "e"), "xy=z\xc3\xa9\t\\");
    assert_string_equal(value_of(&config, "f"), "");
    assert_int_equal(config.settings[3].line, 7);
}

static void
jaas_lines_of_plain_and_scram_become_user_and_password(void **state)
{
    (void)state;
    MR_CLEANUP(kafka_config_fini) struct kafka_config config;
    struct mr_err err;
    assert_int_equal(
        parse("security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n"
              "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
              "username=\"a\\\\\"b\" password=\"p=w d\";\n",
              &config, &err),
        0);
    assert_string_equal(value_of(&config, "sasl.mechanisms"), "SCRAM-SHA-512");
    assert_string_equal(value_of(&config, "sasl.username"), "a\"b");
    assert_string_equal(value_of(&config, "sasl.password"), "p=w d");
    assert_null(value_of(&config, "sasl.jaas.config"));
}

static void
only_the_client_part_of_a_rest_file_counts(void **state)
{
    (void)state;
    MR_CLEANUP(kafka_config_fini) struct kafka_config config;
    struct mr_err err;
    assert_int_equal(
        parse("id=rest\nzookeeper.connect=z:2181\nbootstrap.servers=SASL_SSL://b:9098\n"
              "client.security.protocol=SASL_SSL\nclient.sasl.mechanism=PLAIN\n",
              &config, &err),
        0);
    assert_int_equal(config.count, 2);
    assert_string_equal(value_of(&config, "security.protocol"), "SASL_SSL");
    assert_string_equal(value_of(&config, "sasl.mechanisms"), "PLAIN");
}

static void
what_cannot_work_is_refused_with_the_way_out_and_without_the_secret(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "sasl.mechanism=AWS_MSK_IAM\n", "SCRAM-SHA-512" },
        { "\nsasl.jaas.config=software.amazon.msk.auth.iam.IAMLoginModule required "
          "awsRoleArn=\"hidden\";\n",
          "line 2" },
        { "sasl.jaas.config=x.PlainLoginModule required password=\"hidden\";\n", "username" },
        { "sasl.jaas.config=x.PlainLoginModule required username=\"u\" password=\"hidden\n",
          "password" },
        { "sasl.jaas.config=x.Krb5LoginModule required keyTab=\"hidden\";\n", "PlainLoginModule" },
        { "ssl.truststore.location=/a/kafka.truststore.jks\n", "keytool" },
        { "=hidden\n", "name=value" },
    };
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        struct kafka_config config;
        struct mr_err err;
        assert_true(parse(cases[i].text, &config, &err) < 0);
        assert_int_equal(err.remedy, MR_FATAL);
        assert_non_null(strstr(err.text, "f.properties line"));
        assert_non_null(strstr(err.text, cases[i].says));
        assert_null(strstr(err.text, "hidden"));
    }
}

static void
settings_stop_at_their_maximum(void **state)
{
    (void)state;
    struct mr_buf text;
    mr_buf_init(&text, KAFKA_CONFIG_BYTES_MAX + 10);
    for (int i = 0; i < KAFKA_CONFIG_COUNT_MAX; i++)
        mr_buf_printf(&text, "n%d=v\n", i);
    struct kafka_config config;
    struct mr_err err;
    assert_int_equal(parse(text.data, &config, &err), 0);
    kafka_config_fini(&config);
    mr_buf_text(&text, "more=v\n");
    assert_int_equal(parse(text.data, &config, &err), MR_E(TOO_LARGE));
    mr_buf_reset(&text);
    memset(mr_buf_extend(&text, KAFKA_CONFIG_BYTES_MAX), '\n', KAFKA_CONFIG_BYTES_MAX);
    assert_int_equal(parse(text.data, &config, &err), 0);
    kafka_config_fini(&config);
    mr_buf_text(&text, "\n");
    assert_int_equal(parse(text.data, &config, &err), MR_E(TOO_LARGE));
    mr_buf_fini(&text);
}

/* Opens a bus, which asks nobody, with the text as its file. */
static int
open_with(const char *text, struct mr_err *err)
{
    char path[] = "/tmp/kafka-config-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    assert_int_equal(close(file), 0);
    struct mr_bus_options options = { .bootstrap = "127.0.0.1:1",
                                      .client_id = "test",
                                      .kafka_config = path };
    MR_CLEANUP(mr_bus_closep) struct mr_bus *bus = NULL;
    *err = (struct mr_err){ 0 };
    int result = mr_bus_open(&options, &bus, err);
    assert_int_equal(unlink(path), 0);
    return result;
}

static void
forced_settings_cannot_be_changed_under_any_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "enable.idempotence=false\n", "enable.idempotence=true" },
        { "isolation.level=read_uncommitted\n", "isolation.level=read_committed" },
        { "acks=1\n", "acks=all" },
        { "request.required.acks=1\n", "acks=all" },
        { "auto.offset.reset=latest\n", "auto.offset.reset=error" },
        { "retry.backoff.ms=100\n", "retry.backoff.ms=5" },
        { "partitioner=random\n", "partitioner=murmur2_random" },
        { "group.id=other\n", "each process sets its own" },
        { "queue.buffering.max.ms=77\n", "each process sets its own" },
        { "no.such.setting=1\n", "no.such.setting" },
        { "security.protocol=TLS\n", "security.protocol" },
    };
    for (size_t i = 0; i < MR_COUNT(cases); i++) {
        struct mr_err err;
        assert_int_equal(open_with(cases[i].text, &err), MR_E(INVALID));
        assert_int_equal(err.remedy, MR_FATAL);
        assert_non_null(strstr(err.text, "line 1"));
        assert_non_null(strstr(err.text, cases[i].says));
    }
}

static void
other_settings_and_equal_ones_are_taken(void **state)
{
    (void)state;
    struct mr_err err;
    assert_int_equal(open_with("acks=all\nenable.auto.commit=false\nsocket.timeout.ms=30000\n"
                               "max.poll.interval.ms=90000\nbootstrap.servers=elsewhere:9092\n"
                               "key.serializer=org.apache.kafka.common.StringSerializer\n",
                               &err),
                     0);
    struct mr_bus_options options = { .bootstrap = "127.0.0.1:1",
                                      .client_id = "test",
                                      .kafka_config = "/nowhere/at/all" };
    struct mr_bus *bus;
    assert_int_equal(mr_bus_open(&options, &bus, &err), MR_E(INVALID));
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(java_properties_are_read_as_java_reads_them),
        cmocka_unit_test(jaas_lines_of_plain_and_scram_become_user_and_password),
        cmocka_unit_test(only_the_client_part_of_a_rest_file_counts),
        cmocka_unit_test(what_cannot_work_is_refused_with_the_way_out_and_without_the_secret),
        cmocka_unit_test(settings_stop_at_their_maximum),
        cmocka_unit_test(forced_settings_cannot_be_changed_under_any_name),
        cmocka_unit_test(other_settings_and_equal_ones_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
