/*
 * Counters of the live commands of each rule with a limit, also when the policy changes meanwhile.
 */

#include "broker/service/counters.h"

#include <errno.h>

#include "policy/parser.h"
#include "tests/test.h"

/*
 * Replaces the allocating functions (ld's --wrap): so many calls succeed, then all fail; -1: all
 * succeed.
 */
static int n_allocations_left = -1;

static bool allocation_fails(void) {
    if (n_allocations_left > 0)
        n_allocations_left--;
    else if (n_allocations_left == 0)
        return true;
    return false;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_reallocarray(void *array, size_t n, size_t size);
void *__wrap_reallocarray(void *array, size_t n, size_t size);
FILE *__real_open_memstream(char **textp, size_t *sizep);
FILE *__wrap_open_memstream(char **textp, size_t *sizep);

void *__wrap_calloc(size_t n, size_t size) {
    return allocation_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *array, size_t n, size_t size) {
    return allocation_fails() ? NULL : __real_reallocarray(array, n, size);
}

FILE *__wrap_open_memstream(char **textp, size_t *sizep) {
    return allocation_fails() ? NULL : __real_open_memstream(textp, sizep);
}

static void report_as_failure(void *context, const struct policy_error *error) {
    (void)context;
    fail_msg("%s:%u:%u: %s", error->file, error->line, error->column, error->message);
}

static void parse(struct policy *policy, const char *file, const char *text) {
    assert_int_equal(policy_parse(policy, file, text, strlen(text), report_as_failure, NULL), 0);
}

/* Makes @counters adopt the policy @text. Returns the counter of its last rule. */
static size_t adopt(struct counters *counters, const char *file, const char *text) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;

    parse(&policy, file, text);
    assert_true(policy.n_rules > 0);
    assert_int_equal(counters_adopt(counters, &policy), 0);
    return counters->of_rule[policy.n_rules - 1];
}

/* Fills the counter; returns how many commands it still accepted. No limit is above a million. */
static size_t fill(struct counters *counters, size_t counter) {
    size_t n = 0;
    int r;

    while ((r = counters_take(counters, counter)) == 0 && n <= 1000000)
        n++;
    assert_int_equal(r, COUNTERS_E_REACHED);
    return n;
}

static void a_limit_is_reached_at_its_number(void **state) {
    static const unsigned limits[] = {1, 2, 3, 16, 1000000};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(limits); i++) {
        struct counters counters = COUNTERS_NULL;
        char text[64];
        size_t counter;

        (void)snprintf(text, sizeof(text), "permit any hostname a limit %u", limits[i]);
        counter = adopt(&counters, "a.conf", text);
        assert_int_equal(fill(&counters, counter), limits[i]);
        assert_int_equal(counters_take(&counters, counter), COUNTERS_E_REACHED);
        counters_give_back(&counters, counter);
        assert_int_equal(fill(&counters, counter), 1);
        for (unsigned n = 0; n < limits[i]; n++)
            counters_give_back(&counters, counter);
        assert_int_equal(fill(&counters, counter), limits[i]);
        counters_deinit(&counters);
    }
}

static void each_rule_with_a_limit_has_a_counter_of_its_own(void **state) {
    struct counters counters = COUNTERS_NULL;
    CLEANUP_POLICY struct policy policy = POLICY_NULL;

    (void)state;
    parse(&policy, "a.conf",
          "permit any hostname a\n"
          "permit any hostname b limit 1\n"
          "deny any hostname c\n"
          "permit any hostname d limit 2\n");
    assert_int_equal(counters_adopt(&counters, &policy), 0);
    assert_int_equal(counters.n, 2);
    assert_int_not_equal(counters.of_rule[1], counters.of_rule[3]);
    assert_int_equal(fill(&counters, counters.of_rule[1]), 1);
    assert_int_equal(fill(&counters, counters.of_rule[3]), 2);
    counters_deinit(&counters);
    assert_int_equal(counters.n, 0);
    counters_deinit(&counters);
}

static void an_unknown_counter_is_an_error_and_counts_nothing(void **state) {
    static const size_t unknown[] = {
        2, 3, 1000, UINT32_MAX, SIZE_MAX, SIZE_MAX / sizeof(struct counter) + 1, SIZE_MAX / 2};
    struct counters counters = COUNTERS_NULL;

    (void)state;
    assert_int_equal(counters_take(&counters, 0), -EINVAL);
    assert_int_equal(counters_take(&counters, SIZE_MAX), -EINVAL);
    (void)adopt(&counters, "a.conf",
                "permit any hostname a limit 1\npermit any hostname b limit 1\n");
    for (size_t i = 0; i < BASE_ARRAY_SIZE(unknown); i++)
        assert_int_equal(counters_take(&counters, unknown[i]), -EINVAL);
    assert_int_equal(fill(&counters, 0), 1);
    assert_int_equal(fill(&counters, 1), 1);
    counters_deinit(&counters);
    assert_int_equal(counters_take(&counters, 0), -EINVAL);
}

/* The last rule of each of the two policies is compared. */
struct pair {
    const char *before, *after;
};

static bool is_same_counter(const struct pair *pair) {
    struct counters counters = COUNTERS_NULL;
    size_t before = adopt(&counters, "before.conf", pair->before);
    size_t after = adopt(&counters, "after.conf", pair->after);
    bool is_same = before == after;

    /* Both queries must agree: a command counted under the one rule counts for the other, or
     * not. */
    assert_int_equal(counters.n, is_same ? 1 : 2);
    counters_deinit(&counters);
    return is_same;
}

static void a_rule_that_means_the_same_keeps_its_counter(void **state) {
    static const struct pair pairs[] = {
        {"permit any hostname a limit 4", "permit any hostname a limit 4"},
        {"permit any hostname a limit 4", "permit any hostname a limit 5"},
        {"permit any hostname a limit 4", "# moved\n\n\npermit any hostname a limit 4"},
        {"permit any hostname a limit 4", "permit user bob hostname b\npermit any hostname a "
                                          "limit 4"},
        {"permit any hostname a limit 4", "permit any limit 4 hostname a"},
        {"permit any hostname a limit 4", "permit  any\thostname \\\n \"a\" limit 4 # quoted"},
        {"permit any hostname \"a b\" limit 4", "permit any hostname \"a b\" limit 9"},
        {"permit any hostname a limit 4 setuid", "permit any setuid hostname a limit 4"},
        {"permit user 7 hostname a limit 4", "permit user 007 hostname a limit 4"},
        {"permit user alice group lab 12 hostname a b domainname c limit 1",
         "permit user alice group lab 12 hostname a b domainname c limit 1000000"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(pairs); i++)
        if (!is_same_counter(&pairs[i]))
            fail_msg("'%s' and '%s'", pairs[i].before, pairs[i].after);
}

static void a_rule_that_means_something_else_has_another_counter(void **state) {
    static const struct pair pairs[] = {
        {"permit any hostname a limit 4", "permit user alice hostname a limit 4"},
        {"permit any hostname a limit 4", "permit any hostname a limit 4 setuid"},
        {"permit any hostname a limit 4", "permit any hostname b limit 4"},
        {"permit any hostname a limit 4", "permit any hostname a* limit 4"},
        {"permit any hostname a limit 4", "permit any hostname a b limit 4"},
        {"permit any hostname a limit 4", "permit any domainname a limit 4"},
        {"permit any hostname a limit 4", "permit any hostname a domainname a limit 4"},
        {"permit any hostname a b limit 4", "permit any hostname \"a b\" limit 4"},
        {"permit any hostname a b limit 4", "permit any hostname a domainname b limit 4"},
        {"permit any hostname ab limit 4", "permit any hostname a b limit 4"},
        {"permit any hostname \"a 0=b\" limit 4", "permit any hostname a b limit 4"},
        {"permit user alice hostname a limit 4", "permit user bob hostname a limit 4"},
        {"permit user alice hostname a limit 4", "permit group alice hostname a limit 4"},
        {"permit user alice hostname a limit 4", "permit user alice bob hostname a limit 4"},
        {"permit user alice hostname a limit 4", "permit user alice group bob hostname a limit 4"},
        {"permit user a b hostname a limit 4", "permit user \"a b\" hostname a limit 4"},
        {"permit user a group b hostname a limit 4", "permit user b group a hostname a limit 4"},
        {"permit user a b hostname c limit 4", "permit user a hostname b c limit 4"},
        {"permit user a b hostname c limit 4", "permit user a hostname \"name b\" c limit 4"},
        {"permit user a 7 hostname c limit 4", "permit user a hostname \"id 7\" c limit 4"},
        {"permit user a 7 hostname c limit 4", "permit user a \"id 7\" hostname c limit 4"},
        {"permit user 7 hostname a limit 4", "permit group 7 hostname a limit 4"},
        {"permit user 7 hostname a limit 4", "permit user 70 hostname a limit 4"},
        {"permit user 0 hostname a limit 4", "permit user root hostname a limit 4"},
        {"permit user a \"0=b\" hostname c limit 4", "permit user a hostname b c limit 4"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(pairs); i++)
        if (is_same_counter(&pairs[i]))
            fail_msg("'%s' and '%s'", pairs[i].before, pairs[i].after);
}

static void a_name_that_looks_like_an_id_is_not_the_id(void **state) {
    (void)state;
    assert_false(is_same_counter(&(struct pair){"permit user 7 hostname a limit 4",
                                                "permit user \"#7\" hostname a limit 4"}));
    assert_false(is_same_counter(&(struct pair){"permit group 7 hostname a limit 4",
                                                "permit group \"#7\" hostname a limit 4"}));
}

static void live_commands_stay_counted_when_the_policy_changes(void **state) {
    struct counters counters = COUNTERS_NULL;
    size_t counter = adopt(&counters, "a.conf", "permit any hostname a limit 3");

    (void)state;
    assert_int_equal(counters_take(&counters, counter), 0);
    assert_int_equal(counters_take(&counters, counter), 0);

    /* The rule moves after others: the counter keeps its number. */
    assert_int_equal(adopt(&counters, "b.conf",
                           "permit any hostname x limit 9\npermit any hostname y\n"
                           "permit any hostname a limit 3"),
                     counter);
    assert_int_equal(fill(&counters, counter), 1);

    assert_int_equal(adopt(&counters, "a.conf", "permit any hostname a limit 5"), counter);
    assert_int_equal(fill(&counters, counter), 2);

    /* Five commands live. Under a lower limit none is accepted until enough have ended. */
    assert_int_equal(adopt(&counters, "a.conf", "permit any hostname a limit 2"), counter);
    for (int live = 5; live > 1; live--) {
        assert_int_equal(counters_take(&counters, counter), COUNTERS_E_REACHED);
        counters_give_back(&counters, counter);
    }
    assert_int_equal(fill(&counters, counter), 1);
    counters_deinit(&counters);
}

static void a_removed_rule_accepts_none_and_may_return(void **state) {
    static const char *const without[] = {"permit any hostname b limit 7",
                                          "permit any hostname a", /* no limit: no counter */
                                          "deny any hostname a"};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(without); i++) {
        struct counters counters = COUNTERS_NULL;
        size_t counter = adopt(&counters, "a.conf", "permit any hostname a limit 3");

        assert_int_equal(counters_take(&counters, counter), 0);
        assert_int_equal(counters_take(&counters, counter), 0);
        (void)adopt(&counters, "a.conf", without[i]);
        assert_int_equal(counters.list[counter].limit, 0);
        assert_int_equal(counters_take(&counters, counter), COUNTERS_E_REACHED);
        counters_give_back(&counters, counter);
        assert_int_equal(counters_take(&counters, counter), COUNTERS_E_REACHED);
        assert_int_equal(adopt(&counters, "a.conf", "permit any hostname a limit 3"), counter);
        assert_int_equal(fill(&counters, counter), 2);
        counters_deinit(&counters);
    }
}

static void a_policy_without_rules_accepts_none(void **state) {
    struct counters counters = COUNTERS_NULL;
    CLEANUP_POLICY struct policy empty = POLICY_NULL;
    size_t counter = adopt(&counters, "a.conf", "permit any hostname a limit 3");

    (void)state;
    assert_int_equal(counters_adopt(&counters, &empty), 0);
    assert_int_equal(counters_take(&counters, counter), COUNTERS_E_REACHED);
    counters_deinit(&counters);
}

/* The second rule is never reached: the limit of the first one counts, whatever the second says. */
static void of_two_rules_that_mean_the_same_the_first_counts(void **state) {
    static const struct {
        const char *text;
        size_t limit;
    } cases[] = {
        {"permit any hostname a limit 2\npermit any hostname a limit 9", 2},
        {"permit any hostname a limit 9\npermit any hostname a limit 2", 9},
        {"permit any hostname a limit 3\npermit any hostname b limit 1\npermit any hostname a "
         "limit 1",
         3},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct counters counters = COUNTERS_NULL;
        size_t last = adopt(&counters, "a.conf", cases[i].text);

        assert_int_equal(last, counters.of_rule[0]);
        assert_int_equal(fill(&counters, last), cases[i].limit);
        counters_deinit(&counters);
    }
}

/* Whichever allocation fails: live commands stay counted, and no limit grows. */
static void without_memory_all_counts_are_kept(void **state) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    int n = 0, r;

    (void)state;
    parse(&policy, "b.conf",
          "permit any hostname x limit 1\npermit any hostname a limit 3\n"
          "permit any hostname y limit 2\n");
    do {
        struct counters counters = COUNTERS_NULL;
        size_t counter = adopt(&counters, "a.conf", "permit any hostname a limit 3"), n_more;

        assert_int_equal(counters_take(&counters, counter), 0);
        n_allocations_left = n++;
        r = counters_adopt(&counters, &policy);
        n_allocations_left = -1;
        if (r != 0) {
            assert_int_equal(r, -ENOMEM);
            assert_int_equal(counters.list[counter].n_live, 1);
            n_more = fill(&counters, counter);
            assert_true(n_more <= 2);
            for (size_t i = 0; i < n_more; i++)
                counters_give_back(&counters, counter);
            assert_int_equal(counters_adopt(&counters, &policy), 0);
        }
        assert_int_equal(counters.n, 3);
        assert_int_equal(counters.of_rule[1], counter);
        assert_int_equal(fill(&counters, counters.of_rule[0]), 1);
        assert_int_equal(fill(&counters, counters.of_rule[1]), 2);
        assert_int_equal(fill(&counters, counters.of_rule[2]), 2);
        counters_deinit(&counters);
    } while (r != 0);
    assert_true(n > 5); /* of_rule, three descriptions, two counters */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_limit_is_reached_at_its_number),
    cmocka_unit_test(each_rule_with_a_limit_has_a_counter_of_its_own),
    cmocka_unit_test(an_unknown_counter_is_an_error_and_counts_nothing),
    cmocka_unit_test(a_rule_that_means_the_same_keeps_its_counter),
    cmocka_unit_test(a_rule_that_means_something_else_has_another_counter),
    cmocka_unit_test(a_name_that_looks_like_an_id_is_not_the_id),
    cmocka_unit_test(live_commands_stay_counted_when_the_policy_changes),
    cmocka_unit_test(a_removed_rule_accepts_none_and_may_return),
    cmocka_unit_test(a_policy_without_rules_accepts_none),
    cmocka_unit_test(of_two_rules_that_mean_the_same_the_first_counts),
    cmocka_unit_test(without_memory_all_counts_are_kept),
};

TEST_MAIN(tests)
