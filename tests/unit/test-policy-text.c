/*
 * Properties that hold for random rules: they are printed and parsed without loss, the usual layout
 * keeps them, and rules that are found unreachable decide nothing.
 */

#include <errno.h>

#include "policy/lint/subsumption.h"
#include "policy/lint/unreachable.h"
#include "policy/decision.h"
#include "policy/lint/format.h"
#include "policy/name-pattern.h"
#include "policy/lint/print.h"
#include "policy/lint/suggest.h"
#include "tests/test.h"
#include "tests/unit/parse.h"

enum { UID = 1000, GID = 2000 };

static char *format(const char *text) {
    char *formatted = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&formatted, &size);

    assert_non_null(out);
    assert_int_equal(
        format_text(out, "x.conf", text, strlen(text), parse_fail, (void *)(uintptr_t)text), 0);
    assert_int_equal(fclose(out), 0);
    return formatted;
}

static unsigned random_below(unsigned *seed, unsigned n) {
    return (unsigned)rand_r(seed) % n;
}

/* Few words, so that rules often overlap. */
static const char *random_pattern(unsigned *seed) {
    static const char *const patterns[] = {"a",
                                           "b",
                                           "ab",
                                           "a*",
                                           "*b",
                                           "*",
                                           "?",
                                           "??",
                                           "[ab]",
                                           "[!a]b",
                                           "a?b",
                                           "*a*",
                                           "ab-1",
                                           "AB",
                                           "a.b",
                                           "*.b",
                                           "ab.x",
                                           "[a-c]*",
                                           "\"a b\"",
                                           "\"hostname\"",
                                           "\"x\\\"y\\\\z\"",
                                           "\"a*b c\"",
                                           "any1",
                                           "\"#\"",
                                           "a[b-d]",
                                           "b*a",
                                           "\"a,b\"",
                                           "\"deny\"",
                                           "\"a'\"",
                                           "\"(b|c)\"",
                                           "\"!a\"",
                                           "\"limit=8\"",
                                           "limits",
                                           "a[1-10]",
                                           "b[08-10,2]",
                                           "[1,2]",
                                           "\"a[01-16]\"",
                                           "n[1-3]x[09-11]"};

    return patterns[random_below(seed, BASE_ARRAY_SIZE(patterns))];
}

static const char *random_name(unsigned *seed) {
    static const char *const names[] = {
        "a",     "b",     "ab",   "aab",  "bb",    "cb",       "a.b",     "b.a",    "ab-1",
        "acb",   "abb",   "ba",   "c",    "a b",   "hostname", "x\"y\\z", "ad",     "AB",
        "aXb c", "#",     "any1", "a1",   "a10",   "a12",      "a01",     "b2",     "b09",
        "2",     "n2x10", "a1.b", "ab.a", "a10.b", "ab.x",     "a0.b",    "ab-1.b", "a,b.b"};

    return names[random_below(seed, BASE_ARRAY_SIZE(names))];
}

static void random_rule(FILE *out, unsigned *seed) {
    static const char *const subjects[] = {"any",
                                           "user 1000",
                                           "user 1001",
                                           "group 2000",
                                           "user 1001 1000",
                                           "group 2001 2000",
                                           "user 1001 group 2000",
                                           "group 2000 user 1000"};
    bool is_permit = random_below(seed, 2) == 0, has_hostname = random_below(seed, 4) != 0;

    fprintf(out, "%s%s %s", random_below(seed, 9) == 0 ? "   " : "", is_permit ? "permit" : "deny",
            subjects[random_below(seed, BASE_ARRAY_SIZE(subjects))]);
    for (int kind = 0; kind < 2; kind++) {
        bool is_there =
            kind == 0 ? has_hostname : random_below(seed, 3) == 0 || (is_permit && !has_hostname);

        if (!is_there)
            continue;
        fprintf(out, "%s %s", random_below(seed, 9) == 0 ? " \\\n\t" : " ",
                kind == 0 ? "hostname" : "domainname");
        for (unsigned n = random_below(seed, 3) + 1; n > 0; n--)
            fprintf(out, " %s", random_pattern(seed));
    }
    if (is_permit && random_below(seed, 5) == 0)
        fprintf(out, " limit %u", random_below(seed, 100) + 1);
    if (is_permit && random_below(seed, 5) == 0)
        fprintf(out, "   setuid");
    if (random_below(seed, 5) == 0)
        fprintf(out, "  # a remark, \"quoted\" \\ ");
    fprintf(out, "\n");
}

static char *random_policy(unsigned *seed, unsigned n_rules) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    for (unsigned i = 0; i < n_rules; i++) {
        if (random_below(seed, 6) == 0)
            fprintf(out, "\n\n");
        if (random_below(seed, 6) == 0)
            fprintf(out, " # about what follows  \n");
        random_rule(out, seed);
    }
    assert_int_equal(fclose(out), 0);
    return text;
}

/* The names, ids or patterns of one kind, in order, as text. */
static void describe_rule(char *text, size_t size, const struct policy *policy,
                          const struct policy_rule *rule) {
    size_t n = (size_t)snprintf(text, size, "%d %d %d %u:", rule->action, rule->is_any,
                                rule->is_setuid, (unsigned)rule->limit);

    for (int kind = 0; kind < 2; kind++)
        for (size_t i = 0; i < rule->n_subjects; i++) {
            const struct policy_subject *subject = &policy->subjects[rule->first_subject + i];

            if ((int)subject->kind == kind)
                n += (size_t)snprintf(text + n, size - n, " %d/%u/%s", kind, (unsigned)subject->id,
                                      subject->is_id ? "-" : subject->name);
        }
    for (int kind = 0; kind < 2; kind++)
        for (size_t i = 0; i < rule->n_patterns; i++) {
            const struct policy_pattern *pattern = &policy->patterns[rule->first_pattern + i];

            if ((int)pattern->kind == kind)
                n += (size_t)snprintf(text + n, size - n, " %d=%s", kind, pattern->text);
        }
}

static void assert_same_rules(const struct policy *a, const struct policy *b, const char *text) {
    if (a->n_rules != b->n_rules)
        fail_msg("%zu rules and %zu of:\n%s", a->n_rules, b->n_rules, text);
    for (size_t i = 0; i < a->n_rules; i++) {
        char left[2048], right[2048];

        describe_rule(left, sizeof(left), a, &a->rules[i]);
        describe_rule(right, sizeof(right), b, &b->rules[i]);
        if (strcmp(left, right) != 0)
            fail_msg("rule %zu: '%s' and '%s' of:\n%s", i, left, right, text);
    }
}

static void what_is_printed_is_the_same_when_parsed(void **state) {
    unsigned seed = 11;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        CLEANUP_FREE char *text = random_policy(&seed, 8);
        CLEANUP_FREE char *printed = NULL;
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        CLEANUP_POLICY struct policy again = POLICY_NULL;
        size_t size = 0;
        FILE *out = open_memstream(&printed, &size);

        parse_valid(&policy, "x.conf", text);
        for (size_t j = 0; j < policy.n_rules; j++) {
            print_rule(out, &policy, &policy.rules[j]);
            fputc('\n', out);
        }
        assert_int_equal(fclose(out), 0);
        parse_valid(&again, "x.conf", printed);
        assert_same_rules(&policy, &again, text);
    }
}

static size_t count(const char *text, const char *word) {
    size_t n = 0;

    for (; (text = strstr(text, word)) != NULL; text++)
        n++;
    return n;
}

static void the_usual_layout_means_the_same_and_stays(void **state) {
    unsigned seed = 12;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        CLEANUP_FREE char *text = random_policy(&seed, 8);
        CLEANUP_FREE char *formatted = format(text);
        CLEANUP_FREE char *twice = format(formatted);
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        CLEANUP_POLICY struct policy again = POLICY_NULL;

        parse_valid(&policy, "x.conf", text);
        parse_valid(&again, "x.conf", formatted);
        assert_same_rules(&policy, &again, text);
        assert_string_equal(formatted, twice);
        assert_int_equal(count(formatted, "# a remark, \"quoted\" \\"), count(text, "# a remark"));
        assert_int_equal(count(formatted, "# about what follows"), count(text, "# about"));
        assert_int_equal(count(formatted, "\n\n\n"), 0);
        assert_int_equal(count(formatted, " \n"), 0);
    }
}

static void the_usual_layout(void **state) {
    static const struct {
        const char *text, *formatted;
    } cases[] = {
        {"", ""},
        {"\n\n \n", ""},
        {"#x", "#x\n"},
        {"deny any", "deny    any\n"},
        {"\n\n  # one \n\n\n\ndeny   user 5 hostname a\npermit group staff user bob  hostname b "
         "#why\n",
         "# one\n\ndeny    user 5                hostname a\n"
         "permit  user bob group staff  hostname b  #why\n"},
        {"permit any domainname d setuid limit 3 hostname \"h\" \"user\" \"a b\"",
         "permit  any  hostname h \"user\" \"a b\"  domainname d  limit 3  setuid\n"},
        {"permit user alice bob carol dave erin frank hostname node1.lab.example node2.lab.example "
         "\"a  b\" domainname lab.example",
         "permit  user alice bob carol dave erin frank \\\n"
         "        hostname node1.lab.example node2.lab.example \"a  b\" \\\n"
         "        domainname lab.example\n"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        CLEANUP_FREE char *formatted = format(cases[i].text);

        assert_string_equal(formatted, cases[i].formatted);
    }
}

static struct decision decide(const struct policy *policy, const char *hostname,
                              const char *domainname) {
    gid_t gids[] = {GID};
    struct subject subject = {.uid = UID, .gids = gids, .n_gids = 1};
    CLEANUP_SELECTION struct selection selection = SELECTION_NULL;
    const struct policy_rule *failed;

    assert_int_equal(selection_init(&selection, policy, &subject, &failed), 0);
    return selection_decide(&selection, hostname, domainname);
}

static void a_deny_rule_before_never_permits_more(void **state) {
    unsigned seed = 13;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        CLEANUP_FREE char *text = random_policy(&seed, 6);
        CLEANUP_FREE char *longer = NULL;
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        CLEANUP_POLICY struct policy denying = POLICY_NULL;

        parse_valid(&policy, "x.conf", text);
        assert_true(asprintf(&longer, "deny any hostname %s\n%s", random_pattern(&seed), text) > 0);
        parse_valid(&denying, "x.conf", longer);
        for (int j = 0; j < 20; j++) {
            const char *host = random_below(&seed, 4) != 0 ? random_name(&seed) : NULL;
            const char *domain =
                host == NULL || random_below(&seed, 3) == 0 ? random_name(&seed) : NULL;

            if (decide(&denying, host, domain).verdict == DECISION_PERMITTED)
                assert_int_equal(decide(&policy, host, domain).verdict, DECISION_PERMITTED);
        }
    }
}

/* No request is decided by a rule that is found unreachable. */
static void an_unreachable_rule_decides_nothing(void **state) {
    unsigned seed = 14, n_unreachable = 0, n_decided = 0;

    (void)state;
    for (int i = 0; i < 4000; i++) {
        CLEANUP_FREE char *text = random_policy(&seed, 10);
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        CLEANUP_UNREACHABLE_INDEX struct unreachable_index index = {.entries = NULL};
        const struct policy_rule *unreachable_by[10];

        parse_valid(&policy, "x.conf", text);
        assert_int_equal(unreachable_index_init(&index, &policy), 0);
        unreachable_find_all(&index, unreachable_by);
        for (size_t j = 0; j < policy.n_rules; j++)
            n_unreachable += unreachable_by[j] != NULL;
        for (int j = 0; j < 60; j++) {
            const char *host = random_below(&seed, 4) != 0 ? random_name(&seed) : NULL;
            const char *domain =
                host == NULL || random_below(&seed, 3) == 0 ? random_name(&seed) : NULL;
            struct decision decision = decide(&policy, host, domain);

            n_decided += decision.rule != NULL;
            if (decision.rule != NULL && unreachable_by[decision.rule - policy.rules] != NULL)
                fail_msg("'%s' '%s' is decided by line %u, unreachable by %u, of:\n%s",
                         host != NULL ? host : "-", domain != NULL ? domain : "-",
                         decision.rule->line, unreachable_by[decision.rule - policy.rules]->line,
                         text);
        }
    }
    print_message("%u rules unreachable, %u requests decided\n", n_unreachable, n_decided);
    assert_true(n_unreachable > 1000 && n_decided > 10000);
}

/* The index finds the same as a comparison of each rule with each earlier rule. */
static void every_unreachable_rule_is_found(void **state) {
    unsigned seed = 15;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        CLEANUP_FREE char *text = random_policy(&seed, 10);
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        CLEANUP_UNREACHABLE_INDEX struct unreachable_index index = {.entries = NULL};
        const struct policy_rule *unreachable_by[10];

        parse_valid(&policy, "x.conf", text);
        assert_int_equal(unreachable_index_init(&index, &policy), 0);
        unreachable_find_all(&index, unreachable_by);
        for (size_t later = 0; later < policy.n_rules; later++) {
            const struct policy_rule *first = NULL;

            for (size_t earlier = 0; earlier < later && first == NULL; earlier++)
                if (subsumption_of_rule(&policy, &policy.rules[earlier], &policy.rules[later]))
                    first = &policy.rules[earlier];
            if (first != unreachable_by[later])
                fail_msg("line %u of:\n%s", policy.rules[later].line, text);
        }
    }
}

static void a_pattern_covers_what_it_says(void **state) {
    static const struct {
        const char *wide, *narrow;
        bool covers;
    } cases[] = {
        {"*", "", true},           {"*", "*", true},        {"*", "a*b?", true},
        {"a", "A", true},          {"a", "b", false},       {"a*", "a", true},
        {"a*", "ab*", true},       {"a*", "*a", false},     {"*a", "*ba", true},
        {"?", "[ab]", true},       {"?", "*", false},       {"[ab]", "a", true},
        {"[ab]", "?", false},      {"[ab]", "[ab]", true},  {"[a-z]", "[ab]", true},
        {"[ab]", "[a-c]", false},  {"[!a]", "[b-d]", true}, {"*b*", "*b", true},
        {"*.lab", "n?.lab", true}, {"n[0-9]*", "n5", true}, {"n[0-9]*", "nx", false},
        {"a*b*c", "a*b*c", true},  {"a*b*c", "abc", true},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (subsumption_of_pattern(cases[i].wide, cases[i].narrow) != cases[i].covers)
            fail_msg("%s and %s", cases[i].wide, cases[i].narrow);
}

static void the_nearest_is_suggested(void **state) {
    static const char text[] = "deny any hostname secret\n"
                               "permit user 1001 hostname nodx\n"
                               "permit user 1000 hostname lab-?? node[0-9] secret\n"
                               "permit any hostname *.test \"In Namespace\"  domainname d1 d2\n";
    static const struct {
        const char *name;
        enum policy_name_kind kind;
        const char *nearest;
    } cases[] = {
        {"nodx", POLICY_HOSTNAME, "node[0-9]"}, {"lab-x", POLICY_HOSTNAME, "lab-??"},
        {"a.tst", POLICY_HOSTNAME, "*.test"},   {"in namespace!", POLICY_HOSTNAME, "In Namespace"},
        {"d3", POLICY_DOMAINNAME, "d1"},        {"secret", POLICY_HOSTNAME, "lab-??"},
    };
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    CLEANUP_SELECTION struct selection selection = SELECTION_NULL;
    gid_t gids[] = {GID};
    struct subject subject = {.uid = UID, .gids = gids, .n_gids = 1};
    const struct policy_rule *failed;

    (void)state;
    parse_valid(&policy, "x.conf", text);
    assert_int_equal(selection_init(&selection, &policy, &subject, &failed), 0);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const char *patterns[3];

        assert_true(suggest_patterns(&selection, cases[i].kind, cases[i].name, patterns, 3) > 0);
        if (i < 5)
            assert_string_equal(patterns[0], cases[i].nearest);
        for (size_t j = 0; j < 2; j++)
            assert_string_not_equal(patterns[j], "secret");
    }
    assert_int_equal(suggest_patterns(&selection, POLICY_HOSTNAME, "x", NULL, 0), 0);
}

/* Words are printed with quotes if a bare word would be an error or a keyword. */
static void words_that_need_quotes_keep_them(void **state) {
    static const char *const rules[] = {
        "permit  user \"a,b\" max  hostname a",
        "permit  user \"any\" group \"@x\" \"hosts\" \"t*\" x+y$  hostname a",
        "deny  any  hostname \"a,b\" \"limit=8\" \"x|y\" \"it's\" \"!a\" \"a+\" a_b \"a@b\"",
        "deny  any  hostname \"a.\" \".a\" \"a..b\" \"all\" \"and\" \"-a\" a-b \"/a/\" \"a%\" "
        "\"~a\" [1,2]",
        "permit  user \"-1\" \"1-3\" 1-a \"all\" \"$x\" x$ a@b \"a@\" \"a:b\" \"on\"  hostname "
        "\"//\"",
        "permit  any  hostname \"permit\" \"deny\" \"hostname\" hosts  domainname \"setuid\"",
        "permit  any  hostname [!a] \"a b\" \"#\" \"\\\"\" \"\\\\\"",
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(rules); i++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        CLEANUP_FREE char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);

        parse_valid(&policy, "x.conf", rules[i]);
        print_rule(out, &policy, &policy.rules[0]);
        assert_int_equal(fclose(out), 0);
        assert_string_equal(text, rules[i]);
    }
}

/* True if the deny pattern @denied matches @name; if it has no dot, also by the first label. */
static bool denies(const char *denied, const char *name) {
    char label[128];

    (void)snprintf(label, sizeof(label), "%.*s", (int)strcspn(name, "."), name);
    return pattern_matches(denied, name) ||
           (strchr(denied, '.') == NULL && pattern_matches(denied, label));
}

/* Writes a name that @pattern matches, which has only sets that have an a or a digit or an x. */
static void make_name(char *name, const char *pattern, const char *star) {
    for (; *pattern != '\0'; pattern = pattern_skip_element(pattern)) {
        static const char tries[] = "ax1234567890b";
        char c = *pattern;

        for (const char *t = tries; strchr("?[", *pattern) != NULL && *t != '\0'; t++) {
            const char *element = pattern;

            c = *t;
            if (pattern_match_element(&element, c))
                break;
        }
        if (*pattern != '*')
            *name++ = c;
        else
            name = stpcpy(name, star);
    }
    *name = '\0';
}

/* Tries all names of up to four of these, alone and after names that the deny pattern matches. */
static bool some_name_matches_both(const char *permitted, bool is_wildcard, const char *denied) {
    static const char characters[] = "abcx1-. ";
    enum { N = sizeof(characters) - 1 };
    char begins[4][64], name[80];

    make_name(begins[0], denied, "");
    make_name(begins[1], denied, "a");
    make_name(begins[2], permitted, "");
    begins[3][0] = '\0';
    for (size_t b = 0; b < BASE_ARRAY_SIZE(begins); b++)
        for (unsigned number = 0; number < N * N * N * N; number++) {
            char *end = stpcpy(name, begins[b]);
            unsigned rest = number;

            for (size_t i = 0; i < 4; i++, rest /= N)
                end[i] = characters[rest % N];
            for (size_t length = 5; length-- > 0;) {
                end[length] = '\0';
                if (name[0] != '\0' && (!is_wildcard || name_is_rfc1123(name)) &&
                    pattern_matches(permitted, name) && denies(denied, name))
                    return true;
            }
        }
    return false;
}

/* For each pair of patterns: whether some name that the first one permits matches both. */
static void patterns_meet_if_a_name_matches_both(void **state) {
    unsigned n_meet = 0, seed = 7, n = 0;

    (void)state;
    for (int i = 0; i < 600; i++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        CLEANUP_FREE char *text = NULL;

        assert_true(asprintf(&text, "permit any hostname %s\ndeny any hostname %s\n",
                             random_pattern(&seed), random_pattern(&seed)) > 0);
        parse_valid(&policy, "x.conf", text);
        for (size_t j = 0; j < policy.rules[0].n_patterns; j++)
            for (size_t k = policy.rules[1].first_pattern; k < policy.n_patterns; k++, n++) {
                const struct policy_pattern *a = &policy.patterns[j], *b = &policy.patterns[k];
                bool meet = subsumption_can_meet(a, b);

                if (meet != some_name_matches_both(a->text, a->is_wildcard, b->text))
                    fail_msg("%s and %s: %d", a->text, b->text, meet);
                n_meet += meet;
            }
    }
    test_assert_in_range(n_meet, n / 10, n - n / 10);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(words_that_need_quotes_keep_them),
    cmocka_unit_test(patterns_meet_if_a_name_matches_both),
    cmocka_unit_test(what_is_printed_is_the_same_when_parsed),
    cmocka_unit_test(the_usual_layout_means_the_same_and_stays),
    cmocka_unit_test(the_usual_layout),
    cmocka_unit_test(a_deny_rule_before_never_permits_more),
    cmocka_unit_test(an_unreachable_rule_decides_nothing),
    cmocka_unit_test(every_unreachable_rule_is_found),
    cmocka_unit_test(a_pattern_covers_what_it_says),
    cmocka_unit_test(the_nearest_is_suggested),
};

TEST_MAIN(tests)
