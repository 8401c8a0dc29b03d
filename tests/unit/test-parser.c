#include "policy/parser.h"

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
        {"permit any hostname n[01-16] n[16-01]", 1, 35, "upwards"},
        {"permit any hostname n[01-100]", 1, 26, "[001-100] or [1-100]"},
        {"permit any hostname \"n[001-16]\"", 1, 28, "the same number of digits"},
        {"permit any hostname n[1,,3]", 1, 25, "a number is missing"},
        {"deny any hostname n[1-]", 1, 23, "a number after the hyphen"},
        {"permit any hostname [,]", 1, 22, "a number is missing"},
        {"permit any hostname [1-1234567890123456789]", 1, 24, "more than 18 digits"},
        {"permit any hostname [01-16][a", 1, 28, "[ without ]"},
        {"permit any hostname [01-16]|a", 1, 28, "not regular expressions"},
        {"permit any hostname [01-16],a", 1, 28, "separate words"},
        {"permit any hostname a[b,c]", 1, 24, "without separators"},
        {"deny any hostname n[1-10/2]", 1, 25, "no host name has a /"},
        {"permit any hostname n[11]", 1, 22, "write [01-40]"},
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
        {"permit any hostname a \\\n", 1, 23, "nothing follows"},
        {"permit any hostname a \\\n \t\n\n", 1, 23, "nothing follows"},
        {"deny any hostname a \\\n b \\", 2, 4, "nothing follows"},
        {"deny any \\\n", 1, 10, "nothing follows"},
        {"\\\n", 1, 1, "nothing follows"},
        {"permit any hostname a \\\npermit any hostname b", 2, 1, "remove the backslash"},
        {"permit any hostname a \\\n b permit any hostname b", 2, 4, "begin a new line"},
        {"permit any\xc2\xa0hostname a", 1, 11, "a no-break space"},
        {"permit any hostname \"a\xc2\xa0\"", 1, 23, "a no-break space"},
        {"permit any hostname a\xc2", 1, 22, "0xc2"},
        {"permit any hostname a\xe2\x80", 1, 22, "0xe2"},
        {"permit any hostname a\xe2\x80\x8b", 1, 22, "invisible"},
        {"permit any hostname \xef\xbd\x81", 1, 21, "full-width"},
        {"permit any hostname a.test.", 1, 27, "ends with a dot"},
        {"deny any hostname a b, c", 1, 22, "separate words with spaces"},
        {"permit any hostname a..b", 1, 22, "two dots"},
        {"permit any hostname a[1,b]", 1, 24, "without separators"},
        {"permit any hostname All", 1, 21, "for every name write *"},
        {"permit any hostname any", 1, 12, "for every name write *"},
        {"permit user any hostname a", 1, 8, "write any alone"},
        {"permit user ALL hostname a", 1, 13, "for everybody write any"},
        {"permit user -1 hostname a", 1, 13, "no id is below 0"},
        {"permit user 1-3 hostname a", 1, 13, "ids have no ranges"},
        {"permit user a:b hostname a", 1, 14, "separate words"},
        {"permit user #1 hostname a", 1, 8, "# begins a comment"},
        {"permit user # 1 hostname a", 1, 8, "user needs a value after it"},
        {"permit group %#12 hostname a", 1, 15, "write group 12"},
        {"permit user A\\bob hostname a", 1, 14, "write \"A\\\\bob\""},
        {"permit user \"A\\bob\" hostname a", 1, 15, "write \"A\\\\bob\""},
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
    static const char *const texts[] = {"", "\n", "#", "# x", " ", "\\\n# x", "\t\n\n# x\n"};

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

/* Each pattern of a range has the word as it was written. */
static void a_range_becomes_patterns_that_know_its_word(void **state) {
    static const struct {
        const char *text, *written;
        bool is_wildcard, is_set, matches_label;
        unsigned column;
    } cases[] = {
        {"n0[8-9]", "n[08-32]", true, false, true, 19},
        {"n[1-2][0-9]", "n[08-32]", true, false, true, 19},
        {"n3[0-2]", "n[08-32]", true, false, true, 19},
        {"n", "n", false, false, true, 28},
        {"m1", "m[1,3]", true, false, true, 30},
        {"m3", "m[1,3]", true, false, true, 30},
        {"m[1,3]", "m[1,3]", true, true, true, 30},
        {"n.x", "n.x", false, false, false, 39},
        {"n1[0-1].x", "n[10-11].x", true, false, false, 43},
        {"d", "d", false, false, false, 65},
        {"e10", "e[10,10]", true, false, false, 67},
        {"e10", "e[10,10]", true, false, false, 67},
    };
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    struct errors errors;

    (void)state;
    assert_int_equal(parse(&policy,
                           "deny any hostname n[08-32] n \"m[1,3]\" n.x n[10-11].x domainname d "
                           "e[10,10]\npermit any hostname n[08-32] n m[1,3]",
                           &errors),
                     0);
    assert_int_equal(policy.rules[0].n_patterns, BASE_ARRAY_SIZE(cases));
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct policy_pattern *pattern = &policy.patterns[policy.rules[0].first_pattern + i];

        if (strcmp(pattern->text, cases[i].text) != 0 ||
            strcmp(pattern->written, cases[i].written) != 0 ||
            pattern->is_wildcard != cases[i].is_wildcard || pattern->is_set != cases[i].is_set ||
            pattern->matches_label != cases[i].matches_label || pattern->line != 1 ||
            pattern->column != cases[i].column)
            fail_msg("%zu: %s, %s, %u", i, pattern->text, pattern->written, pattern->column);
        assert_int_equal(i > 0 && pattern[0].written == pattern[-1].written,
                         i > 0 && cases[i].column == cases[i - 1].column);
        assert_true(pattern->text == pattern->written || cases[i].is_wildcard);
    }
    assert_int_equal(policy.rules[1].first_pattern, 12);
    assert_int_equal(policy.rules[1].n_patterns, 6); /* no second reading */
    for (size_t i = 12; i < 18; i++)
        assert_false(policy.patterns[i].is_set || policy.patterns[i].matches_label);
}

/* The limit is of one rule, and names that are written out do not count. */
static void a_rule_makes_not_too_many_patterns(void **state) {
    static const char many[] = "[1,2,3,4,5,6,7,8][1,2,3,4,5,6,7,8][1,2,3,4,5,6,7,8]";
    CLEANUP_FREE char *text = NULL;
    struct errors errors;

    (void)state;
    for (int n_more = 0; n_more < 3; n_more++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        int r;

        free(text);
        assert_true(asprintf(&text,
                             "permit any hostname [1,2,3,4,5,6,7,8]%s a b %s\n"
                             "permit any hostname a%s",
                             many,
                             n_more == 0   ? ""
                             : n_more == 1 ? "c[0-9]"
                                           : "cc[1,2]",
                             many) > 0);
        r = parse(&policy, text, &errors);
        if (n_more < 2) {
            assert_int_equal(r, 0);
            assert_int_equal(policy.rules[0].n_patterns, 4096 + 2 + n_more);
            continue;
        }
        assert_int_equal(r, POLICY_E_INVALID);
        assert_int_equal(errors.n, 1);
        assert_int_equal(errors.first.line, 1);
        assert_int_equal(errors.first.column, strstr(text, "cc[") + 2 - text + 1);
        assert_non_null(strstr(errors.first.message, "more than 4096 patterns"));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(good_rules_become_what_they_say),
    cmocka_unit_test(every_error_has_its_line_and_column),
    cmocka_unit_test(a_nul_byte_is_an_error),
    cmocka_unit_test(each_wrong_line_gives_one_error),
    cmocka_unit_test(empty_texts_are_policies_without_rules),
    cmocka_unit_test(random_bytes_do_not_break_it),
    cmocka_unit_test(a_range_becomes_patterns_that_know_its_word),
    cmocka_unit_test(a_rule_makes_not_too_many_patterns),
};

TEST_MAIN(tests)
