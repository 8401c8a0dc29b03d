#include "policy/parser.h"

#include <time.h>

#include "tests/test.h"

struct errors {
    size_t n;
    struct policy_error first;
    unsigned last_line;
};

static void errors_collect(void *context, const struct policy_error *error) {
    struct errors *errors = context;

    if (errors->n++ == 0)
        errors->first = *error;
    errors->last_line = error->line;
}

static int parse(struct policy *policy, const char *text, struct errors *errors) {
    *errors = (struct errors){.n = 0};
    return policy_parse(policy, "x.conf", text, strlen(text), errors_collect, errors);
}

static void good_rules_become_what_they_say(void **state) {
    static const char text[] = "# a comment, with \"quotes\" and \\ and b\xc3\xbc"
                               "cher\n"
                               "\n"
                               "  \t \n"
                               "deny any hostname licence* www*\n"
                               "permit group students 2000 hostname lab-?? node[0-9]* "
                               "domainname lab.example limit 16 # and a remark\n"
                               "permit user alice 1001 group wheel \\\n"
                               "   hostname \"In Namespace\" \"a\\\"b\\\\c\"\n"
                               "deny user \"any\"\n"
                               "permit\tuser 0\thostname *\tdomainname *\tsetuid";
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    struct errors errors;
    const struct policy_rule *rule;

    (void)state;
    assert_int_equal(parse(&policy, text, &errors), 0);
    assert_int_equal(errors.n, 0);
    assert_int_equal(policy.n_rules, 5);

    rule = &policy.rules[0];
    assert_int_equal(rule->action, POLICY_DENY);
    assert_true(rule->is_any);
    assert_int_equal(rule->line, 4);
    assert_string_equal(rule->file, "x.conf");
    assert_int_equal(rule->n_patterns, 2);
    assert_string_equal(policy.patterns[rule->first_pattern + 1].text, "www*");
    assert_true(policy.patterns[rule->first_pattern].is_wildcard);

    rule = &policy.rules[1];
    assert_int_equal(rule->action, POLICY_PERMIT);
    assert_int_equal(rule->n_subjects, 2);
    assert_int_equal(policy.subjects[rule->first_subject].kind, POLICY_GROUP);
    assert_string_equal(policy.subjects[rule->first_subject].name, "students");
    assert_true(policy.subjects[rule->first_subject + 1].is_id);
    assert_int_equal(policy.subjects[rule->first_subject + 1].id, 2000);
    assert_int_equal(rule->n_patterns, 3);
    assert_int_equal(policy.patterns[rule->first_pattern + 2].kind, POLICY_DOMAINNAME);
    assert_int_equal(rule->limit, 16);
    assert_false(rule->is_setuid);

    rule = &policy.rules[2];
    assert_int_equal(rule->line, 6);
    assert_int_equal(rule->n_subjects, 3);
    assert_int_equal(policy.subjects[rule->first_subject + 2].kind, POLICY_GROUP);
    assert_string_equal(policy.patterns[rule->first_pattern].text, "In Namespace");
    assert_false(policy.patterns[rule->first_pattern].is_wildcard);
    assert_string_equal(policy.patterns[rule->first_pattern + 1].text, "a\"b\\c");

    rule = &policy.rules[3];
    assert_int_equal(rule->line, 8); /* the joined line counts as two */
    assert_false(rule->is_any);
    assert_string_equal(policy.subjects[rule->first_subject].name, "any");
    assert_int_equal(rule->n_patterns, 0);

    rule = &policy.rules[4];
    assert_true(rule->is_setuid);
    assert_int_equal(policy.subjects[rule->first_subject].id, 0);
}

static void every_error_has_its_line_and_column(void **state) {
    static const struct {
        const char *text;
        unsigned line, column;
        const char *message;
    } cases[] = {
        {"allow any", 1, 1, "begins with permit or deny, not 'allow'"},
        {"\"permit\" any hostname a", 1, 1, "begins with permit or deny"},
        {"Permit any hostname a", 1, 1, "keywords are in lower case"},
        {"\n\n  allow any", 3, 3, "begins with permit or deny"},
        {"permit", 1, 7, "does not say whom it is for"},
        {"deny", 1, 5, "does not say whom it is for"},
        {"deny # all", 1, 11, "does not say whom it is for"},
        {"permit alice hostname a", 1, 8, "expected any, user NAME or group NAME, not 'alice'"},
        {"permit hostname a", 1, 8, "write first whom the rule is for"},
        {"permit setuid", 1, 8, "write first whom the rule is for"},
        {"permit user hostname a", 1, 8, "user needs a value"},
        {"permit user", 1, 8, "user needs a value"},
        {"permit group\\\n hostname a", 1, 13, "after a space"},
        {"permit group \\\n hostname a", 1, 8, "group needs a value"},
        {"permit any hostname \"a\\\nb\"", 1, 23, "outside quotes"},
        {"deny user bob group", 1, 15, "group needs a value"},
        {"permit user bob", 1, 16, "needs hostname or domainname patterns"},
        {"permit any", 1, 11, "needs hostname or domainname patterns"},
        {"permit any setuid", 1, 18, "needs hostname or domainname patterns"},
        {"permit any bob hostname a", 1, 12, "expected hostname, domainname, limit or setuid"},
        {"permit any user bob hostname a", 1, 12, "any means everybody"},
        {"permit user bob any hostname a", 1, 17, "any means everybody"},
        {"permit any any hostname a", 1, 12, "any appears twice"},
        {"permit user a user b hostname a", 1, 15, "user appears twice"},
        {"permit group a group b hostname a", 1, 16, "group appears twice"},
        {"permit any hostname a user bob", 1, 23, "user must come before"},
        {"permit user a setuid group b", 1, 22, "group must come before"},
        {"permit any hostname", 1, 12, "hostname needs a value"},
        {"permit any hostname domainname a", 1, 12, "hostname needs a value"},
        {"permit any hostname a hostname b", 1, 23, "hostname appears twice"},
        {"permit any domainname a domainname b", 1, 25, "domainname appears twice"},
        {"permit any hostname a limit", 1, 23, "limit needs a value"},
        {"permit any hostname a limit 0", 1, 29, "0 is not a number from 1"},
        {"permit any hostname a limit -1", 1, 29, "-1 is not a number from 1"},
        {"permit any hostname a limit 1x", 1, 29, "1x is not a number from 1"},
        {"permit any hostname a limit 1000001", 1, 29, "not a number from 1"},
        {"permit any hostname a limit 99999999999999999999", 1, 29, "not a number from 1"},
        {"permit any hostname a limit 3 4", 1, 31, "limit takes one number"},
        {"permit any hostname a limit 3 limit 4", 1, 31, "limit appears twice"},
        {"permit any hostname a setuid setuid", 1, 30, "setuid appears twice"},
        {"permit any hostname a setuid x", 1, 30, "expected hostname, domainname, limit"},
        {"deny any hostname a limit 3", 1, 21, "limit has no meaning in a deny"},
        {"deny any setuid", 1, 10, "setuid has no meaning in a deny"},
        {"permit user 4294967295 hostname a", 1, 13, "larger than the largest id, 4294967294"},
        {"permit group 99999999999 hostname a", 1, 14, "larger than the largest id, 4294967294"},
        {"permit user \"\" hostname a", 1, 13, "an empty name"},
        {"permit any hostname \"\"", 1, 22, "an empty pattern"},
        {"permit any hostname a[b", 1, 22, "[ without ]"},
        {"permit any hostname \"a[b\"", 1, 23, "[ without ]"},
        {"permit any hostname [z-a]", 1, 21, "a range goes"},
        {"permit any hostname a\"b\"", 1, 22, "a quote inside a word"},
        {"permit any hostname \"a\"b", 1, 24, "a closing quote ends the word"},
        {"permit any hostname \"a\"\"b\"", 1, 24, "a closing quote ends the word"},
        {"permit any hostname \"a", 1, 21, "not closed on this line"},
        {"permit any hostname \"a\n# b\"", 1, 21, "not closed on this line"},
        {"permit any hostname \"a\\n\"", 1, 23, "backslash"},
        {"permit any hostname \"a\\", 1, 23, "backslash"},
        {"permit any hostname a#b", 1, 22, "# inside a word"},
        {"permit any hostname a\\b", 1, 22, "backslash"},
        {"permit any hostname a \\", 1, 23, "backslash"},
        {"permit any hostname a \\ \n", 1, 23, "backslash"},
        {"permit any hostname a\r\n", 1, 22, "Unix line endings"},
        {"permit any hostname \"a\tb\"", 1, 23, "0x09"},
        {"permit any hostname b\xc3\xbc"
         "cher",
         1, 22, "0xc3"},
        {"permit any hostname \"\xc3\xbc\"", 1, 22, "0xc3"},
        {"permit any hostname a\x1b[m", 1, 22, "0x1b"},
        {"\xef\xbb\xbfpermit any hostname a", 1, 1, "a byte order mark"},
        {"permit any \\\n hostname a \\\n bad[", 3, 5, "[ without ]"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        struct errors errors;
        int r = parse(&policy, cases[i].text, &errors);

        if (r != POLICY_E_INVALID || errors.n != 1 || errors.first.line != cases[i].line ||
            errors.first.column != cases[i].column ||
            strstr(errors.first.message, cases[i].message) == NULL)
            fail_msg("'%s': %d, %zu errors, %u:%u: %s", cases[i].text, r, errors.n,
                     errors.first.line, errors.first.column, errors.first.message);
        assert_string_equal(errors.first.file, "x.conf");
    }
}

static void a_nul_byte_is_an_error(void **state) {
    static const char text[] = "permit any hostname a\0b\n";
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    struct errors errors = {.n = 0};

    (void)state;
    assert_int_equal(
        policy_parse(&policy, "x.conf", text, sizeof(text) - 1, errors_collect, &errors),
        POLICY_E_INVALID);
    assert_int_equal(errors.first.column, 22);
}

static void each_wrong_line_gives_one_error(void **state) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    struct errors errors;

    (void)state;
    assert_int_equal(parse(&policy,
                           "allow what [ ever\n"
                           "permit any hostname ok\n"
                           "permit x\x01y hostname [ [ [\n"
                           "deny any hostname \"open\n",
                           &errors),
                     POLICY_E_INVALID);
    assert_int_equal(errors.n, 3);
    assert_int_equal(errors.last_line, 4);
    assert_int_equal(policy.n_rules, 1);
}

static void empty_texts_are_policies_without_rules(void **state) {
    static const char *const texts[] = {"", "\n", "#", "# x", " ", "\\\n", "\t\n\n# x\n"};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(texts); i++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        struct errors errors;

        assert_int_equal(parse(&policy, texts[i], &errors), 0);
        assert_int_equal(policy.n_rules, 0);
    }
}

/* Parsing any bytes ends, and accesses only its own memory (the sanitizer builds check that). */
static void random_bytes_do_not_break_it(void **state) {
    static const char alphabet[] =
        "permitdenyanyusergroup hostname limit\"\"\\\\\n\n##[]-*?\t09\r\x01\xff";
    unsigned seed = 1;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        struct errors errors = {.n = 0};
        char text[64];
        size_t size = (size_t)rand_r(&seed) % sizeof(text);
        char *exact = malloc(size + (size == 0));
        int r;

        assert_non_null(exact);
        for (size_t j = 0; j < size; j++)
            exact[j] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
        r = policy_parse(&policy, "x", exact, size, errors_collect, &errors);
        assert_true((r == 0 && errors.n == 0) || (r == POLICY_E_INVALID && errors.n > 0));
        free(exact);
    }
}

/* The CPU time, the best of five. */
static double seconds_to_parse(size_t n_rules) {
    static const char rule[] = "permit group students 1000 hostname lab-?? node[0-9]* limit 16\n";
    size_t size = n_rules * (sizeof(rule) - 1);
    char *text = malloc(size + 1);
    double best = 1e9;

    assert_non_null(text);
    for (size_t i = 0; i < n_rules; i++)
        memcpy(text + i * (sizeof(rule) - 1), rule, sizeof(rule));
    for (int i = 0; i < 5; i++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        struct errors errors = {.n = 0};
        struct timespec begin, end;
        double seconds;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
        assert_int_equal(policy_parse(&policy, "x", text, size, errors_collect, &errors), 0);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
        assert_int_equal(policy.n_rules, n_rules);
        seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
        best = seconds < best ? seconds : best;
    }
    free(text);
    return best;
}

static void the_cost_is_linear(void **state) {
    double small = seconds_to_parse(10000);
    double large = seconds_to_parse(80000);

    (void)state;
    print_message("10,000 rules: %.2f ms; 80,000: %.2f ms\n", small * 1e3, large * 1e3);
    assert_true(large < small * 8 * 3); /* a quadratic cost would be 64 times */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(good_rules_become_what_they_say),
    cmocka_unit_test(every_error_has_its_line_and_column),
    cmocka_unit_test(a_nul_byte_is_an_error),
    cmocka_unit_test(each_wrong_line_gives_one_error),
    cmocka_unit_test(empty_texts_are_policies_without_rules),
    cmocka_unit_test(random_bytes_do_not_break_it),
    cmocka_unit_test(the_cost_is_linear),
};

TEST_MAIN(tests)
