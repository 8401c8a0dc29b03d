/*
 * Deny rules that come too late, with users and groups of the test's own databases
 * (late.passwd, late.group): by a table, and against the decisions for random policies.
 */

#include <grp.h>
#include <pwd.h>

#include "policy/decision.h"
#include "policy/lint/late.h"
#include "policy/lint/pattern-index.h"
#include "policy/lint/people.h"
#include "policy/lint/subsumption.h"
#include "policy/name-pattern.h"
#include "tests/test.h"
#include "tests/unit/parse.h"

enum { RULES_MAX = 8 };

struct found {
    bool is_late[RULES_MAX];
    const struct policy *policy;
    unsigned n;
    char message[sizeof(((struct late *)NULL)->message)]; /* of the last one */
};

static void collect(void *context, const struct late *late) {
    struct found *found = context;

    assert_true(late->rule - found->policy->rules < RULES_MAX);
    found->is_late[late->rule - found->policy->rules] = true;
    found->n++;
    memcpy(found->message, late->message, sizeof(found->message));
}

static void find(struct found *found, const struct policy *policy,
                 const struct policy_rule **unreachable_by, bool asks) {
    CLEANUP_UNREACHABLE_INDEX struct unreachable_index index = {.entries = NULL};

    *found = (struct found){.policy = policy};
    assert_int_equal(unreachable_index_init(&index, policy), 0);
    unreachable_find_all(&index, unreachable_by);
    assert_int_equal(late_find_all(&index, unreachable_by, asks, collect, found), 0);
}

/* The text of the warning begins with it, up to the colon; NULL: there is no warning. */
static void a_deny_rule_is_late_for_those_who_are_permitted_before(void **state) {
    static const struct {
        const char *policy, *asked, *unasked;
    } cases[] = {
        /* who: each kind of subject before each other */
        {"permit any hostname *\ndeny any hostname a", "a comes too late for everybody",
         "a comes too late for everybody"},
        {"permit any hostname *\ndeny group students hostname a",
         "a comes too late for group students", "a comes too late for group students"},
        {"permit any hostname *\ndeny user alice hostname a", "a comes too late for user alice",
         "a comes too late for user alice"},
        {"permit group students hostname *\ndeny any hostname a",
         "a comes too late for group students", "a comes too late for group students"},
        {"permit user alice hostname *\ndeny any hostname a", "a comes too late for user alice",
         "a comes too late for user alice"},
        {"permit user alice hostname *\ndeny user alice hostname a",
         "a comes too late for user alice", "a comes too late for user alice"},
        {"permit user alice hostname *\ndeny user 1000 hostname a",
         "a comes too late for user alice", "a may come too late for user alice"},
        {"permit user alice hostname *\ndeny user bob hostname a", NULL, NULL},
        {"permit user 1000 hostname *\ndeny user 1001 hostname a", NULL, NULL},
        {"permit user alice hostname *\ndeny group students hostname a",
         "a comes too late for user alice, who is in group students",
         "a may come too late for user alice, if that user is in group students"},
        {"permit user alice hostname *\ndeny group staff hostname a", NULL,
         "a may come too late for user alice, if that user is in group staff"},
        {"permit user alice hostname *\ndeny group 2002 hostname a",
         "a comes too late for user alice, who is in group 2002",
         "a may come too late for user alice, if that user is in group 2002"},
        {"permit user 1001 hostname *\ndeny group students hostname a",
         "a comes too late for user 1001, who is in group students",
         "a may come too late for user 1001, if that user is in group students"},
        {"permit user nobody-here hostname *\ndeny group staff hostname a",
         "a may come too late for user nobody-here, if that user is in group staff",
         "a may come too late for user nobody-here, if that user is in group staff"},
        {"permit user alice hostname *\ndeny group no-such-group hostname a",
         "a may come too late for user alice, if that user is in group no-such-group",
         "a may come too late for user alice, if that user is in group no-such-group"},
        {"permit group students hostname *\ndeny user bob hostname a",
         "a comes too late for user bob, who is in group students",
         "a may come too late for user bob, if that user is in group students"},
        {"permit group students hostname *\ndeny user dave hostname a", NULL,
         "a may come too late for user dave, if that user is in group students"},
        {"permit group students hostname *\ndeny group 2000 hostname a",
         "a comes too late for group students",
         "a may come too late for whoever is in group students and group 2000"},
        {"permit group students hostname *\ndeny group staff hostname a",
         "a comes too late for user bob, who is in group students and group staff",
         "a may come too late for whoever is in group students and group staff"},
        {"permit group guests hostname *\ndeny group students hostname a",
         "a comes too late for user alice, who is in group guests and group students",
         "a may come too late for whoever is in group guests and group students"},
        {"permit group guests hostname *\ndeny group staff hostname a", NULL,
         "a may come too late for whoever is in group guests and group staff"},
        {"permit group empty hostname *\ndeny group staff hostname a",
         "a may come too late for whoever is in group empty and group staff",
         "a may come too late for whoever is in group empty and group staff"},
        {"permit group empty hostname *\ndeny group students hostname a", NULL,
         "a may come too late for whoever is in group empty and group students"},
        {"permit user carol group staff hostname *\ndeny user alice group guests hostname a",
         "a comes too late for user carol, who is in group guests",
         "a may come too late for user carol, if that user is in group guests"},
        /* root needs no permission */
        {"permit user root hostname *\ndeny any hostname a", NULL, NULL},
        {"permit user 0 hostname *\ndeny group root hostname a", NULL, NULL},
        {"permit user 0 alice hostname *\ndeny any hostname a", "a comes too late for user alice",
         "a comes too late for user alice"},
        {"permit any hostname *\ndeny user root hostname a", "a comes too late for user root",
         "a comes too late for user root"},
        /* exceptions: fewer names, or the same ones for fewer people */
        {"permit user alice hostname web1\ndeny any hostname web*", NULL, NULL},
        {"permit any hostname web1\ndeny any hostname web*", NULL, NULL},
        {"permit any hostname web1\ndeny user alice hostname web*", NULL, NULL},
        {"permit user alice hostname web1\ndeny any hostname web1", NULL, NULL},
        {"permit group students hostname web*\ndeny any hostname web* x", NULL, NULL},
        {"permit user alice hostname web1\ndeny group students hostname web1", NULL, NULL},
        {"permit group students hostname web1\ndeny user alice hostname web1",
         "web1 comes too late for user alice, who is in group students",
         "web1 may come too late for user alice, if that user is in group students"},
        {"permit any hostname web1\ndeny any hostname web1", "web1 comes too late for everybody",
         "web1 comes too late for everybody"},
        {"permit any hostname a.web1\ndeny any hostname a* *.web*", NULL, NULL},
        {"permit any hostname node05\ndeny any hostname node[01-16]", NULL, NULL},
        {"permit any hostname node[05-12]\ndeny any hostname node[01-16]", NULL, NULL},
        {"permit any hostname node[05-17]\ndeny any hostname node[01-16]",
         "node[01-16] comes too late for everybody", "node[01-16] comes too late for everybody"},
        /* a deny pattern without a dot denies the host in every domain */
        {"permit any hostname *.test\ndeny any hostname a", "a comes too late for everybody",
         "a comes too late for everybody"},
        {"permit any hostname a.test\ndeny any hostname a", NULL, NULL},
        {"permit any hostname ??\ndeny any hostname a b.* *.c", NULL, NULL},
        {"permit any hostname a-??\ndeny any hostname *.b \"-*\" a.b", NULL, NULL},
        {"permit any hostname ???\ndeny any hostname a", "a comes too late for everybody",
         "a comes too late for everybody"},
        {"permit any hostname *.test\ndeny any domainname a", NULL, NULL},
        {"permit any hostname *.test\ndeny any hostname a.example", NULL, NULL},
        {"permit any domainname *\ndeny any hostname a", NULL, NULL},
        /* names that the permit rule cannot permit */
        {"permit any hostname *\ndeny any hostname \"a b\" a_b *_*", NULL, NULL},
        {"permit any hostname \"a b\"\ndeny any hostname \"a b\"",
         "a b comes too late for everybody", "a b comes too late for everybody"},
        {"permit any hostname \"*..y\"\ndeny any hostname x*", NULL, NULL},
        /* bans */
        {"permit any hostname *.test\ndeny user alice", "this rule comes too late for user alice",
         "this rule comes too late for user alice"},
        {"permit any hostname *.test\ndeny group staff", "this rule comes too late for group staff",
         "this rule comes too late for group staff"},
        {"permit group students hostname a\ndeny user alice",
         "this rule comes too late for user alice, who is in group students",
         "this rule may come too late for user alice, if that user is in group students"},
        {"permit group students hostname a\ndeny user carol", NULL,
         "this rule may come too late for user carol, if that user is in group students"},
        {"permit user alice hostname a\ndeny user alice", NULL, NULL},
        {"permit group students hostname a\ndeny any", NULL, NULL},
        {"permit user alice hostname a\ndeny group students", NULL, NULL},
        /* settled before: by a deny rule that stands above the permit rule */
        {"deny any hostname a\npermit group students hostname *\ndeny any hostname a", NULL, NULL},
        {"deny any hostname a\npermit group students hostname *\ndeny any hostname a b",
         "b comes too late for group students", "b comes too late for group students"},
        {"deny group students hostname a\npermit group students hostname *\ndeny any hostname a",
         NULL, NULL},
        {"deny group students hostname a\npermit user alice hostname *\ndeny any hostname a", NULL,
         "a comes too late for user alice"},
        {"deny group staff hostname a\npermit user alice hostname *\ndeny any hostname a",
         "a comes too late for user alice", "a comes too late for user alice"},
        {"deny user alice\npermit group students hostname *\ndeny user alice hostname a", NULL,
         NULL},
        {"deny user alice\npermit user alice hostname *\ndeny any hostname a", NULL, NULL},
        {"deny any hostname a*\npermit any hostname a* b*\ndeny any hostname ab", NULL, NULL},
        {"deny any hostname a*\npermit any hostname a* b*\ndeny any hostname ab bc",
         "bc comes too late for everybody", "bc comes too late for everybody"},
        /* the earliest rule is named, and one that is certain before one that is not */
        {"permit group staff hostname *\npermit any hostname *\ndeny any hostname a",
         "a comes too late for group staff: * at x:1",
         "a comes too late for group staff: * at x:1"},
        {"permit user alice hostname *\npermit any hostname ?b\n"
         "deny group no-such-group hostname a*",
         "a* comes too late for group no-such-group: ?b at x:2",
         "a* comes too late for group no-such-group: ?b at x:2"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        for (int asks = 0; asks < 2; asks++) {
            CLEANUP_POLICY struct policy policy = POLICY_NULL;
            const char *expected = asks == 1 ? cases[i].asked : cases[i].unasked;
            const struct policy_rule *unreachable_by[RULES_MAX];
            struct found found;

            parse_valid(&policy, "x", cases[i].policy);
            find(&found, &policy, unreachable_by, asks == 1);
            if (expected == NULL
                    ? found.n != 0
                    : found.n != 1 || strncmp(found.message, expected, strlen(expected)) != 0 ||
                          strchr(",: ", found.message[strlen(expected)]) == NULL)
                fail_msg("%s, %s: %u: %s", cases[i].policy, asks == 1 ? "asked" : "not asked",
                         found.n, found.message);
        }
}

static const char *choose(unsigned *seed, const char *const *words, size_t n) {
    return words[(unsigned)rand_r(seed) % n];
}

static const char *const people[] = {"any",          "user alice",  "user bob",
                                     "user 1002",    "group staff", "group students",
                                     "group guests", "group 2001",  "user alice bob",
                                     "user carol",   "group 2000",  "user bob group guests"};
static const char *const patterns[] = {"a",    "b",   "ab",  "a*",  "*b",  "*",   "?",      "??",
                                       "[ab]", "*.t", "a.t", "a?*", "*a*", "b.*", "a[1,12]"};

/* All names of up to three of some characters, and a few more. */
static char names[200][8];
static size_t n_names;

static int make_names(void **state) {
    static const char characters[] = "abt.1";
    static const char *const more[] = {"a12",  "a12.t", "ab.t", "bb.t",  "xx.t",
                                       "a1.t", "abc",   "a1.b", "a12.b", "a1.ab"};
    enum { N = sizeof(characters) - 1 };

    (void)state;
    for (unsigned length = 1, n = N; length <= 3; length++, n *= N)
        for (unsigned number = 0; number < n; number++) {
            unsigned rest = number;

            for (unsigned i = 0; i < length; i++, rest /= N)
                names[n_names][i] = characters[rest % N];
            n_names++;
        }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(more); i++)
        strcpy(names[n_names++], more[i]);
    return 0;
}

static char *make_policy(unsigned *seed, unsigned n_rules, bool has_bans) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    for (unsigned i = 0; i < n_rules; i++) {
        bool is_last = i + 1 == n_rules, is_deny = is_last || rand_r(seed) % 3 == 0;

        fprintf(out, "%s %s", is_deny ? "deny" : "permit",
                choose(seed, people, BASE_ARRAY_SIZE(people)));
        if (!is_deny || !has_bans || rand_r(seed) % 6 != 0)
            fprintf(out, " hostname %s", choose(seed, patterns, BASE_ARRAY_SIZE(patterns)));
        if (!is_deny && rand_r(seed) % 4 == 0)
            fprintf(out, " %s", choose(seed, patterns, BASE_ARRAY_SIZE(patterns)));
        fprintf(out, "\n");
    }
    assert_int_equal(fclose(out), 0);
    return text;
}

static void init_person(struct subject *person, const char *name) {
    const struct passwd *entry = getpwnam(name);
    int n = 16;

    assert_non_null(entry);
    *person = (struct subject){.uid = entry->pw_uid, .gids = calloc(16, sizeof(gid_t))};
    assert_true(getgrouplist(name, entry->pw_gid, person->gids, &n) > 0);
    person->n_gids = (size_t)n;
    subject_sort_groups(person);
}

static bool is_for(const struct policy *policy, const struct policy_rule *rule,
                   struct subject *person) {
    bool is_for, is_in_doubt;

    assert_int_equal(rule_is_for(policy, rule, person, &is_for, &is_in_doubt), 0);
    assert_false(is_in_doubt);
    return is_for;
}

/* True if the permit rule is for fewer people, in the sense of an exception, than the deny rule. */
static bool is_for_fewer(const struct policy *policy, const struct policy_rule *permit,
                         const struct policy_rule *deny, struct subject *person) {
    for (size_t i = 0; i < (permit->is_any ? 1 : permit->n_subjects); i++)
        for (size_t j = 0; j < (deny->is_any ? 1 : deny->n_subjects); j++) {
            ssize_t a = permit->is_any ? PEOPLE_ANYBODY : (ssize_t)(permit->first_subject + i);
            ssize_t b = deny->is_any ? PEOPLE_ANYBODY : (ssize_t)(deny->first_subject + j);
            bool a_is_for = a == PEOPLE_ANYBODY, b_is_for = b == PEOPLE_ANYBODY;

            if (!a_is_for)
                assert_int_equal(subject_matches(person, &policy->subjects[a], &a_is_for), 0);
            if (!b_is_for)
                assert_int_equal(subject_matches(person, &policy->subjects[b], &b_is_for), 0);
            if (a_is_for && b_is_for && !people_are_fewer(policy, a, b))
                return false;
        }
    return true;
}

/* True if @permit, which decides for this person and name, is meant as an exception to @deny. */
static bool is_exception(const struct policy *policy, const struct policy_rule *permit,
                         const struct policy_rule *deny, struct subject *person, const char *name) {
    if (rule_denies_everything(deny))
        return !is_for_fewer(policy, deny, permit, person);
    for (size_t i = 0; i < permit->n_patterns; i++) {
        const struct policy_pattern *permitted = &policy->patterns[permit->first_pattern + i];
        bool is_covered = false, is_as_wide = false;

        if (!pattern_matches(permitted->text, name))
            continue;
        for (size_t j = 0; j < deny->n_patterns; j++) {
            const struct policy_pattern *denied = &policy->patterns[deny->first_pattern + j];

            is_covered |= subsumption_with_label(denied, permitted);
            is_as_wide |= subsumption_of_pattern(permitted->text, denied->text);
        }
        if (!is_covered || (is_as_wide && !is_for_fewer(policy, permit, deny, person)))
            return false;
    }
    return true;
}

/* True if an earlier permit rule decides for somebody a name that @deny should deny. */
static bool is_really_late(const struct policy *policy, const struct policy_rule *deny) {
    static const char *const persons[] = {"alice", "bob", "carol", "dave"};
    bool is_late = false;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(persons); i++) {
        CLEANUP_SUBJECT struct subject person;

        init_person(&person, persons[i]);
        for (size_t j = 0; j < n_names && !is_late; j++) {
            const struct policy_rule *rule = policy->rules;

            if (!is_for(policy, deny, &person) || !rule_matches(policy, deny, names[j], NULL))
                continue;
            while (!is_for(policy, rule, &person) || !rule_matches(policy, rule, names[j], NULL))
                rule++;
            is_late = is_late || (rule < deny && rule->action == POLICY_PERMIT &&
                                  !is_exception(policy, rule, deny, &person, names[j]));
        }
    }
    return is_late;
}

/* With two rules, the warning says exactly what the decisions say. */
static void two_rules_are_found_late_if_and_only_if_they_are(void **state) {
    unsigned seed = 3, n_late = 0, n = 4000;

    (void)state;
    for (unsigned i = 0; i < n; i++) {
        CLEANUP_FREE char *text = make_policy(&seed, 2, true);
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        const struct policy_rule *unreachable_by[RULES_MAX];
        struct found found;
        bool is_late;

        parse_valid(&policy, "x", text);
        find(&found, &policy, unreachable_by, true);
        is_late = unreachable_by[1] == NULL && is_really_late(&policy, &policy.rules[1]);
        if (found.is_late[1] != is_late)
            fail_msg("%d: %s in:\n%s", is_late, found.message, text);
        n_late += is_late;
    }
    test_assert_in_range(n_late, n / 20, n / 2);
}

/* With more rules, which may together deny before what no single one does, nothing is missed. */
static void no_late_rule_is_missed(void **state) {
    unsigned seed = 4, n_late = 0, n_found = 0, n = 3000;

    (void)state;
    for (unsigned i = 0; i < n; i++) {
        CLEANUP_FREE char *text = make_policy(&seed, RULES_MAX, true);
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        const struct policy_rule *unreachable_by[RULES_MAX];
        struct found found;

        parse_valid(&policy, "x", text);
        find(&found, &policy, unreachable_by, true);
        for (size_t j = 0; j < policy.n_rules; j++) {
            bool is_late = policy.rules[j].action == POLICY_DENY && unreachable_by[j] == NULL &&
                           is_really_late(&policy, &policy.rules[j]);

            if (is_late && !found.is_late[j])
                fail_msg("line %zu of:\n%s", j + 1, text);
            n_late += is_late;
            n_found += found.is_late[j];
        }
    }
    print_message("%u late, %u found\n", n_late, n_found);
    assert_true(n_late > 1000 && n_found < n_late + n_late / 4);
}

static bool result_has(const struct pattern_index_result *result,
                       const struct policy_pattern *pattern) {
    for (size_t i = 0; i < result->n_parts; i++)
        for (size_t j = 0; j < result->parts[i].n; j++) {
            if (result->parts[i].is_by_rule && j > 0 &&
                result->parts[i].entries[j].rule < result->parts[i].entries[j - 1].rule)
                fail_msg("not in the order of the rules");
            if (result->parts[i].entries[j].pattern == pattern)
                return pattern_index_can_meet(result, &result->parts[i].entries[j]);
        }
    return false;
}

/* The index finds each pattern that can match a common name, and not simply all. */
static void the_index_finds_all_patterns_that_meet(void **state) {
    static const char *const more[] = {"ab",  "abc", "b",   "bc",  "ab*",  "a*c",
                                       "*c",  "*bc", "*b*", "AB*", "a*BC", "x.y",
                                       "*.y", "x.*", "?b",  "a?",  "[ab]c"};
    unsigned seed = 5, n_found = 0, n_meet = 0, n = 0;

    (void)state;
    for (int i = 0; i < 300; i++) {
        CLEANUP_PATTERN_INDEX struct pattern_index index;
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        CLEANUP_FREE char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);

        for (int j = 0; j < 20; j++)
            fprintf(out, "%s any %s %s\n", j % 5 == 0 ? "deny" : "permit",
                    j % 7 == 0 ? "domainname" : "hostname",
                    choose(&seed, more, BASE_ARRAY_SIZE(more)));
        assert_int_equal(fclose(out), 0);
        parse_valid(&policy, "x", text);
        assert_int_equal(pattern_index_init(&index, &policy, pattern_index_is_for_any), 0);
        for (size_t j = 0; j < BASE_ARRAY_SIZE(more); j++) {
            struct policy_pattern pattern = {.text = more[j]};
            struct pattern_index_result result;

            pattern_index_find(&index, POLICY_HOSTNAME, more[j], &result);
            for (size_t k = 0; k < policy.n_rules; k++) {
                const struct policy_pattern *permitted =
                    &policy.patterns[policy.rules[k].first_pattern];
                bool meets = subsumption_can_meet(permitted, &pattern) &&
                             policy.rules[k].action == POLICY_PERMIT;
                bool is_found = result_has(&result, permitted);

                if (meets && !is_found)
                    fail_msg("%s: %s is not found", more[j], permitted->text);
                n_meet += meets;
                n_found += is_found;
                n++;
            }
        }
    }
    print_message("%u meet, %u found of %u\n", n_meet, n_found, n);
    assert_true(n_found < n_meet * 2 && n_meet > n / 10);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_deny_rule_is_late_for_those_who_are_permitted_before),
    cmocka_unit_test(two_rules_are_found_late_if_and_only_if_they_are),
    cmocka_unit_test(no_late_rule_is_missed),
    cmocka_unit_test(the_index_finds_all_patterns_that_meet),
};

int main(void) {
    return cmocka_run_group_tests_name(__FILE__, tests, make_names, NULL);
}
