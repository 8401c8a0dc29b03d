/*
 * The names that a policy permits, one by one: what patterns expand to, and that a list has exactly
 * the names that decisions permit, found by trying every short name and every kind of user.
 */

#include "policy/lint/audience.h"
#include "policy/lint/expansion.h"
#include "policy/lint/name-list.h"
#include "policy/name-pattern.h"
#include "tests/test.h"
#include "tests/unit/parse.h"

#define A60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static int append(void *context, const char *name) {
    FILE *out = context;

    return fprintf(out, " %s", name) < 0;
}

static void sets_expand_in_their_order(void **state) {
    static const struct {
        const char *pattern, *names;
        size_t n;
    } cases[] = {
        {"node1", " node1", 1},
        {"n[12]", " n1 n2", 2},
        {"n[21]", " n2 n1", 2},
        {"n[1-3]", " n1 n2 n3", 3},
        {"n[31-2]", " n3 n1 n2", 3},
        {"[ab][1-2]", " a1 a2 b1 b2", 4},
        {"[A-C]", " A B C", 3},
        {"[a-C]x", " ax bx cx", 3},
        {"[A-c]x", " ax bx cx", 3},
        {"a[-1]", " a- a1", 2},
        {"a[1-]", " a1 a-", 2},
        {"a[.]b", " a.b", 1},
        {A60 "aaa[12]", " " A60 "aaa1 " A60 "aaa2", 2}, /* 64 bytes */
        {A60 "aaaa[12]", "", 0},                        /* 65 */
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        CLEANUP_FREE char *names = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&names, &size);

        assert_non_null(out);
        assert_true(expansion_is_finite(cases[i].pattern));
        assert_int_equal(expansion_count(cases[i].pattern, 1000), cases[i].n);
        assert_int_equal(expansion_each(cases[i].pattern, append, out), 0);
        assert_int_equal(fclose(out), 0);
        assert_string_equal(names, cases[i].names);
    }
}

static int stop_at_third(void *context, const char *name) {
    (void)name;
    return ++*(int *)context == 3 ? 7 : 0;
}

static void expansion_is_bounded(void **state) {
    static const char *const endless[] = {"*", "a*", "a?b", "[!a]", "n[12][!0-9]"};
    int n = 0;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(endless); i++)
        assert_false(expansion_is_finite(endless[i]));
    assert_int_equal(expansion_count("[0-9][0-9]", 100), 100);
    assert_int_equal(expansion_count("[0-9][0-9]", 99), 100);
    assert_int_equal(expansion_count("[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]"
                                     "[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]",
                                     NAME_LIST_MAX),
                     NAME_LIST_MAX + 1);
    assert_int_equal(expansion_each("[0-9]", stop_at_third, &n), 7);
    assert_int_equal(n, 3);
}

static void names_are_compared_as_people_count(void **state) {
    static const char *const sorted[] = {"",      "-",      "A",     "a1",    "a01",  "a2",
                                         "A3",    "a10",    "a10b",  "a010b", "ab",   "n1.a2",
                                         "n1.a9", "n1.a10", "n2.a1", "x9y9",  "x9y10"};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(sorted); i++)
        for (size_t j = 0; j < BASE_ARRAY_SIZE(sorted); j++) {
            int order = expansion_compare(sorted[i], sorted[j]);

            if ((order > 0) - (order < 0) != (i > j) - (i < j))
                fail_msg("'%s' and '%s': %d", sorted[i], sorted[j], order);
        }
}

/* The names of ranges are in the order of their numbers, each once. */
static void lists_are_in_the_order_of_the_rules(void **state) {
    static const struct {
        const char *text, *names;
        size_t n_skipped;
    } cases[] = {
        {"permit any hostname b a B c", " b a c", 0},
        {"permit any hostname n[8-11]", " n8 n9 n10 n11", 0},
        {"permit any hostname n[08-11] n[9-10]", " n08 n09 n10 n11 n9", 0},
        {"permit any hostname r[1-2]n[9-10]", " r1n9 r1n10 r2n9 r2n10", 0},
        {"permit any hostname n[10-11,2,7-8]", " n2 n7 n8 n10 n11", 0},
        {"permit any hostname x* n? [!a] a n[1-12]", " a n1 n2 n3 n4 n5 n6 n7 n8 n9 n10 n11 n12",
         3},
        {"permit any hostname x*[1-12]", "", 1},
        {"permit any hostname a_[12] \"a b\" a-[-1]", " a b a-1", 0},
        {"permit any domainname d  hostname a", " a", 0},
        {"deny any hostname n[02-03]\npermit any hostname n[01-04]", " n01 n04", 0},
        {"deny any hostname a\npermit any hostname a.test b.test", " b.test", 0},
        {"permit user 7 hostname a\ndeny user 7\npermit user 7 hostname b", " a", 0},
        {"deny group 7 hostname a\npermit user 7 hostname a", " a", 0},
        {"deny any\npermit any hostname a", "", 0},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        CLEANUP_NAME_LIST struct name_list list = {.n = 0};
        char names[256] = "";

        parse_valid(&policy, "x.conf", cases[i].text);
        assert_int_equal(name_list_init(&list, &policy, NULL, POLICY_HOSTNAME, false), 0);
        for (size_t j = 0; j < list.n; j++) {
            strcat(names, " ");
            strcat(names, list.names[j]);
        }
        if (strcmp(names, cases[i].names) != 0)
            fail_msg("%s:%s, not%s", cases[i].text, names, cases[i].names);
        assert_int_equal(list.n_skipped, cases[i].n_skipped);
    }
}

/* For completions: what cannot be listed stays a pattern, and other kinds of names are listed, too.
 */
static void lists_with_patterns_have_everything(void **state) {
    static const struct {
        const char *text;
        enum policy_name_kind kind;
        const char *names;
    } cases[] = {
        {"permit any hostname b* n[1-2] b a? B* [!a] c_*", POLICY_HOSTNAME, " b* n1 n2 b a? [!a]"},
        {"permit any hostname n[000-999] n[0000-1000] n1", POLICY_HOSTNAME, NULL},
        {"permit any hostname h domainname d[1-2] *.d", POLICY_DOMAINNAME, " d1 d2 *.d"},
        {"deny any hostname d1\ndeny any domainname d2\npermit any domainname d[1-3]",
         POLICY_DOMAINNAME, " d1 d3"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        CLEANUP_NAME_LIST struct name_list list = {.n = 0};
        char names[256] = "";

        parse_valid(&policy, "x.conf", cases[i].text);
        assert_int_equal(name_list_init(&list, &policy, NULL, cases[i].kind, true), 0);
        if (cases[i].names == NULL) {
            assert_int_equal(list.n, 1002);
            assert_string_equal(list.names[1000], "n[0000-1000]");
            continue;
        }
        for (size_t j = 0; j < list.n; j++) {
            strcat(names, " ");
            strcat(names, list.names[j]);
        }
        assert_string_equal(names, cases[i].names);
    }
}

static void a_list_ends_at_its_limit(void **state) {
    static const struct {
        const char *text;
        size_t n;
        const char *exceeded;
    } cases[] = {
        {"permit any hostname n[00000-99999]", 100000, NULL},
        {"permit any hostname n[00000-99999] n00001", 100000, NULL},
        {"permit any hostname a n[00000-99999]", 0, "n[00000-99999]"},
        {"permit any hostname n[00000-99999]\npermit user 1 hostname z", 0, "z"},
        {"deny any hostname z\npermit any hostname n[00000-99999] z", 100000, NULL},
        {"permit any hostname n[0-9][0-9][0-9][0-9][0-9][0-9]", 0,
         "n[0-9][0-9][0-9][0-9][0-9][0-9]"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        CLEANUP_NAME_LIST struct name_list list = {.n = 0};
        int r;

        parse_valid(&policy, "x.conf", cases[i].text);
        r = name_list_init(&list, &policy, NULL, POLICY_HOSTNAME, false);
        assert_int_equal(r, cases[i].exceeded != NULL ? NAME_LIST_E_TOO_MANY : 0);
        if (r == 0)
            assert_int_equal(list.n, cases[i].n);
        else
            assert_string_equal(list.exceeded->written, cases[i].exceeded);
    }
}

static unsigned random_below(unsigned *seed, unsigned n) {
    return (unsigned)rand_r(seed) % n;
}

static const char characters[] = "abx12-.";
enum { N_CHARACTERS = sizeof(characters) - 1, LENGTH_MAX = 3, N_USERS = 3, N_GROUPS = 2 };

static char *random_policy(unsigned *seed) {
    static const char *const patterns[] = {"a",         "[ab]",     "[ab][12]", "a1",  "[1-2]x",
                                           "x[1-2x]",   "B",        "a*",       "?",   "b.a",
                                           "[ab].[ab]", "*.a",      "x-",       "x-1", "[!a]",
                                           "[ab-]",     "x[01-02]", "[8-12]",   "b1",  "2"};
    static const char *const subjects[] = {"any",       "user 1",  "user 2 1",       "group 1",
                                           "group 1 2", "group 2", "user 1 group 2", "user 2"};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    for (unsigned i = random_below(seed, 6) + 1; i > 0; i--) {
        bool is_permit = random_below(seed, 3) != 0;

        fprintf(out, "%s %s", is_permit ? "permit" : "deny",
                subjects[random_below(seed, BASE_ARRAY_SIZE(subjects))]);
        if (is_permit || random_below(seed, 6) != 0)
            fprintf(out, " hostname");
        else {
            fprintf(out, "\n");
            continue;
        }
        for (unsigned n = random_below(seed, 3) + 1; n > 0; n--)
            fprintf(out, " %s", patterns[random_below(seed, BASE_ARRAY_SIZE(patterns))]);
        fprintf(out, "\n");
    }
    assert_int_equal(fclose(out), 0);
    return text;
}

/* True if a permit rule among @rules has a word that can be listed and matches @name. */
static bool is_in_finite_word(const struct policy *policy, const char *name) {
    for (size_t i = 0; i < policy->n_rules; i++) {
        const struct policy_rule *rule = &policy->rules[i];

        for (size_t j = 0; j < rule->n_patterns; j++) {
            const struct policy_pattern *pattern = &policy->patterns[rule->first_pattern + j];

            if (rule->action == POLICY_PERMIT && expansion_is_finite(pattern->text) &&
                pattern_matches(pattern->text, name) &&
                (!pattern->is_wildcard || name_is_rfc1123(name)))
                return true;
        }
    }
    return false;
}

static bool is_listed(const struct name_list *list, const char *name) {
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++)
        n += name_list_compare(list->names[i], name) == 0;
    assert_true(n <= 1);
    return n == 1;
}

/* Every kind of user: one of three, the last of whom no rule names, in each set of two groups. */
struct users {
    struct selection selections[N_USERS << N_GROUPS];
    struct name_list lists[N_USERS << N_GROUPS];
};

static void users_init(struct users *users, const struct policy *policy) {
    for (unsigned i = 0; i < N_USERS << N_GROUPS; i++) {
        gid_t gids[N_GROUPS];
        struct subject subject = {.uid = (i >> N_GROUPS) + 1, .gids = gids};
        const struct policy_rule *failed;

        for (unsigned group = 0; group < N_GROUPS; group++)
            if ((i >> group & 1) != 0)
                gids[subject.n_gids++] = group + 1;
        assert_int_equal(selection_init(&users->selections[i], policy, &subject, &failed), 0);
        assert_int_equal(
            name_list_init(&users->lists[i], policy, &users->selections[i], POLICY_HOSTNAME, false),
            0);
    }
}

static void users_deinit(struct users *users) {
    for (unsigned i = 0; i < N_USERS << N_GROUPS; i++) {
        selection_deinit(&users->selections[i]);
        name_list_deinit(&users->lists[i]);
    }
}

/* Sets @name to the next name of up to three characters; returns false after the last one. */
static bool name_advance(char name[LENGTH_MAX + 1]) {
    for (size_t i = 0; i < LENGTH_MAX; i++) {
        const char *now = name[i] == '\0' ? NULL : strchr(characters, name[i]);

        if (now == NULL || now[1] != '\0') {
            name[i] = now == NULL ? characters[0] : now[1];
            return true;
        }
        name[i] = characters[0];
    }
    return false;
}

static void a_list_has_what_is_permitted(void **state) {
    unsigned n_listed = 0, n_left_out = 0, seed = 11;

    (void)state;
    for (int i = 0; i < 400; i++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        CLEANUP_NAME_LIST struct name_list all = {.n = 0};
        CLEANUP_FREE char *text = random_policy(&seed);
        struct users users = {.selections = {SELECTION_NULL}};
        char name[LENGTH_MAX + 1] = "";

        parse_valid(&policy, "x.conf", text);
        assert_int_equal(name_list_init(&all, &policy, NULL, POLICY_HOSTNAME, false), 0);
        users_init(&users, &policy);
        while (name_advance(name)) {
            bool is_in_word = is_in_finite_word(&policy, name), is_for_anybody = false, by_rules;

            for (unsigned user = 0; user < N_USERS << N_GROUPS; user++) {
                bool is_permitted = selection_decide(&users.selections[user], name, NULL).verdict ==
                                    DECISION_PERMITTED;

                is_for_anybody |= is_permitted;
                /* A word of others may have the name, and a wildcard permit it to this user. */
                if (is_listed(&users.lists[user], name) && !(is_permitted && is_in_word))
                    fail_msg("'%s' is listed for user %u:\n%s", name, user, text);
            }
            assert_int_equal(audience_has_permitted(&policy, name, NULL, &by_rules), 0);
            if (by_rules != is_for_anybody)
                fail_msg("'%s': %d for anybody:\n%s", name, by_rules, text);
            if (is_listed(&all, name) != (is_for_anybody && is_in_word))
                fail_msg("'%s': %d in the list:\n%s", name, is_for_anybody && is_in_word, text);
            n_listed += is_listed(&all, name);
            n_left_out += is_in_word && !is_for_anybody;
        }
        users_deinit(&users);
    }
    assert_true(n_listed > 500 && n_left_out > 50);
}

/* What one user is shown is all that the words of their own rules have and that is permitted. */
static void a_list_misses_nothing(void **state) {
    unsigned n_listed = 0, seed = 23;

    (void)state;
    for (int i = 0; i < 400; i++) {
        CLEANUP_POLICY struct policy policy = POLICY_NULL;
        CLEANUP_FREE char *text = random_policy(&seed);
        struct users users = {.selections = {SELECTION_NULL}};

        parse_valid(&policy, "x.conf", text);
        users_init(&users, &policy);
        for (unsigned user = 0; user < N_USERS << N_GROUPS; user++) {
            const struct selection *selection = &users.selections[user];

            for (size_t j = 0; j < selection->n_rules; j++) {
                const struct policy_rule *rule = selection->rules[j].rule;
                struct policy one = policy;
                char name[LENGTH_MAX + 1] = "";

                one.rules = (struct policy_rule *)(uintptr_t)rule;
                one.n_rules = 1;
                while (rule->action == POLICY_PERMIT && name_advance(name)) {
                    if (!is_in_finite_word(&one, name) ||
                        selection_decide(selection, name, NULL).verdict != DECISION_PERMITTED)
                        continue;
                    n_listed++;
                    if (!is_listed(&users.lists[user], name))
                        fail_msg("'%s' is not listed for user %u:\n%s", name, user, text);
                }
            }
        }
        users_deinit(&users);
    }
    assert_true(n_listed > 500);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sets_expand_in_their_order),
    cmocka_unit_test(expansion_is_bounded),
    cmocka_unit_test(names_are_compared_as_people_count),
    cmocka_unit_test(lists_are_in_the_order_of_the_rules),
    cmocka_unit_test(lists_with_patterns_have_everything),
    cmocka_unit_test(a_list_ends_at_its_limit),
    cmocka_unit_test(a_list_has_what_is_permitted),
    cmocka_unit_test(a_list_misses_nothing),
};

TEST_MAIN(tests)
