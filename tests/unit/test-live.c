/* The file of what lives: each field of a line, and what is no line. */

#include "utsbroker/live.h"

#include <inttypes.h>

#include "tests/test.h"

static const char whole[] = "+ 4711 i99 1000 s 1795946651 0f3c 7 \"/etc/a\\x20b.conf\" \"node1\" "
                            "\"lab\" \"al\\x22\\x5c\" \"ls -l\"\n";

/* The values between the fields that a case changes. */
#define HEAD "+ 1 i2 3 d 4 5 6 "
#define TAIL " \"\" \"\" \"\" \"\"\n"

static void a_line_has_each_field(void **state) {
    struct live_command c;

    (void)state;
    assert_true(live_parse(whole, &c));
    assert_int_equal(c.state, LIVE_RUNS);
    assert_int_equal(c.pid, 4711);
    assert_int_equal(c.start_kind, 'i');
    assert_int_equal(c.start, 99);
    assert_int_equal(c.uid, 1000);
    assert_true(c.is_service);
    assert_int_equal(c.since, 1795946651);
    assert_int_equal(c.rule_key, 0xf3c);
    assert_int_equal(c.rule_line, 7);
    assert_string_equal(c.rule_file, "/etc/a b.conf");
    assert_string_equal(c.hostname, "node1");
    assert_string_equal(c.domainname, "lab");
    assert_string_equal(c.user, "al\"\\");
    assert_string_equal(c.command, "ls -l");
    assert_true(live_parse(". 1 t2 0 d 0 0 0 \"\"" TAIL, &c));
    assert_int_equal(c.state, LIVE_ENDED);
    assert_int_equal(c.start_kind, 't');
    assert_false(c.is_service);
    assert_string_equal(c.command, "");
    assert_true(live_parse("- 1 t2 0 d 0 0 0 \"\"" TAIL "what follows", &c));
    assert_int_equal(c.state, LIVE_GONE);
}

static void numbers_have_the_range_of_their_fields(void **state) {
    static const struct {
        const char *line;
        bool is_valid;
    } cases[] = {
        {"+ 2147483647 i2 3 d 4 5 6 \"\"" TAIL, true},
        {"+ 2147483648 i2 3 d 4 5 6 \"\"" TAIL, false},
        {"+ 0 i2 3 d 4 5 6 \"\"" TAIL, false},
        {"+ -1 i2 3 d 4 5 6 \"\"" TAIL, false},
        {"+ +1 i2 3 d 4 5 6 \"\"" TAIL, false},
        {"+  1 i2 3 d 4 5 6 \"\"" TAIL, false},
        {"+ 0x1 i2 3 d 4 5 6 \"\"" TAIL, false},
        {"+ 1a i2 3 d 4 5 6 \"\"" TAIL, false},
        {"+ 1\n i2 3 d 4 5 6 \"\"" TAIL, false},
        {"+ 1 i18446744073709551615 3 d 4 5 6 \"\"" TAIL, true},
        {"+ 1 i18446744073709551616 3 d 4 5 6 \"\"" TAIL, false},
        {"+ 1 i99999999999999999999999 3 d 4 5 6 \"\"" TAIL, false},
        {"+ 1 i 3 d 4 5 6 \"\"" TAIL, false},
        {"+ 1 t-2 3 d 4 5 6 \"\"" TAIL, false},
        {"+ 1 2 3 d 4 5 6 \"\"" TAIL, false},
        {"+ 1 p2 3 d 4 5 6 \"\"" TAIL, false},
        {"+ 1 i2 4294967294 d 4 5 6 \"\"" TAIL, true},
        {"+ 1 i2 4294967295 d 4 5 6 \"\"" TAIL, false}, /* no user (chown(2)) */
        {"+ 1 i2 3 x 4 5 6 \"\"" TAIL, false},
        {"+ 1 i2 3 ds 4 5 6 \"\"" TAIL, false},
        {"+ 1 i2 3 d 9223372036854775807 5 6 \"\"" TAIL, true},
        {"+ 1 i2 3 d 9223372036854775808 5 6 \"\"" TAIL, false},
        {"+ 1 i2 3 d 4 ffffffffffffffff 6 \"\"" TAIL, true},
        {"+ 1 i2 3 d 4 10000000000000000 6 \"\"" TAIL, false},
        {"+ 1 i2 3 d 4 0x5 6 \"\"" TAIL, false},
        {"+ 1 i2 3 d 4 F 6 \"\"" TAIL, false},
        {"+ 1 i2 3 d 4 g 6 \"\"" TAIL, false},
        {"+ 1 i2 3 d 4 5 4294967295 \"\"" TAIL, true},
        {"+ 1 i2 3 d 4 5 4294967296 \"\"" TAIL, false},
        {"* 1 i2 3 d 4 5 6 \"\"" TAIL, false},
        {"+1 i2 3 d 4 5 6 \"\"" TAIL, false},
        {" + 1 i2 3 d 4 5 6 \"\"" TAIL, false},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct live_command c;

        if (live_parse(cases[i].line, &c) != cases[i].is_valid)
            fail_msg("case %zu: %s", i, cases[i].line);
    }
}

static void values_are_quoted_and_escaped_in_one_way(void **state) {
    static const struct {
        const char *line, *file; /* @file is NULL: not valid */
    } cases[] = {
        {HEAD "\"\\xff\\x0a\\x01\"" TAIL, "\xff\n\x01"},
        {HEAD "\"'~ !\"" TAIL, "'~ !"},
        {HEAD "\"\\x00\"" TAIL, NULL},
        {HEAD "\"\\x0\"" TAIL, NULL},
        {HEAD "\"\\xFF\"" TAIL, NULL},
        {HEAD "\"\\xg1\"" TAIL, NULL},
        {HEAD "\"\\n\"" TAIL, NULL},
        {HEAD "\"\\\"\"" TAIL, NULL},
        {HEAD "\"\\\\\"" TAIL, NULL},
        {HEAD "\"\t\"" TAIL, NULL},
        {HEAD "\"\n\"" TAIL, NULL},
        {HEAD "\"\x7f\"" TAIL, NULL},
        {HEAD "\"\xc3\xa4\"" TAIL, NULL},
        {HEAD "a" TAIL, NULL},
        {HEAD "\"a" TAIL, NULL},
        {HEAD "a\"" TAIL, NULL},
        {HEAD "\"a\"\"" TAIL, NULL},
        {HEAD "\"a\" " TAIL, NULL},
        {HEAD "\"a\"\n\"\" \"\" \"\" \"\"\n", NULL}, /* a newline only at the end */
        {HEAD "\"a\" \"\" \"\" \"\" \"\" \n", NULL},
        {HEAD "\"a\" \"\" \"\" \"\" \"\"\r\n", NULL},
        {HEAD "\"a\" \"\" \"\" \"\"\n", NULL},
        {HEAD "\"a\" \"\" \"\" \"\" \"\" \"\"\n", NULL},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct live_command c;
        bool is_valid = live_parse(cases[i].line, &c);

        if (is_valid != (cases[i].file != NULL))
            fail_msg("case %zu: %s", i, cases[i].line);
        if (is_valid)
            assert_string_equal(c.rule_file, cases[i].file);
    }
}

/* The end of a line that is being written may be anywhere, also in an escape. */
static void a_part_of_a_line_is_none(void **state) {
    (void)state;
    for (size_t length = 0; length < sizeof(whole) - 1; length++) {
        char *part = strndup(whole, length); /* valgrind and sanitizers see each byte beyond it */
        struct live_command c;

        assert_non_null(part);
        if (live_parse(part, &c))
            fail_msg("%zu bytes are a line", length);
        free(part);
    }
}

/* Writes "\x01" @n times, in quotes. */
static char *quote(char *at, size_t n) {
    *at++ = '"';
    for (size_t i = 0; i < n; i++)
        at = stpcpy(at, "\\x01");
    *at++ = '"';
    *at = '\0';
    return at;
}

static void values_are_as_long_as_the_records_of_the_ledger_have_them(void **state) {
    static const size_t sizes[] = {PROTOCOL_RULE_FILE_SIZE, PROTOCOL_NAME_SIZE, PROTOCOL_NAME_SIZE,
                                   LEDGER_USER_SIZE, PROTOCOL_COMMAND_SIZE};
    enum { N = BASE_ARRAY_SIZE(sizes) };

    (void)state;
    /* The last round is the longest line there can be. */
    for (size_t too_long = 0; too_long <= N; too_long++) {
        char line[2 * LIVE_LINE_SIZE], *at = line;
        struct live_command c;

        at += snprintf(line, sizeof(line), "+ %d i%" PRIu64 " %u s %" PRId64 " %" PRIx64 " %u",
                       INT32_MAX, UINT64_MAX, UINT32_MAX - 1, INT64_MAX, UINT64_MAX, UINT32_MAX);
        for (size_t i = 0; i < N; i++) {
            *at++ = ' ';
            at = quote(at, i == too_long ? sizes[i] : sizes[i] - 1);
        }
        memcpy(at, "\n", 2);
        if (live_parse(line, &c) != (too_long == N))
            fail_msg("round %zu", too_long);
        if (too_long < N)
            continue;
        assert_true(strlen(line) < LIVE_LINE_SIZE);
        assert_int_equal(strlen(c.user), LEDGER_USER_SIZE - 1);
        assert_int_equal(strlen(c.command), PROTOCOL_COMMAND_SIZE - 1);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_line_has_each_field),
    cmocka_unit_test(numbers_have_the_range_of_their_fields),
    cmocka_unit_test(values_are_quoted_and_escaped_in_one_way),
    cmocka_unit_test(a_part_of_a_line_is_none),
    cmocka_unit_test(values_are_as_long_as_the_records_of_the_ledger_have_them),
};

TEST_MAIN(tests)
