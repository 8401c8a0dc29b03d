/* Which rules count together. */

#include "policy/rule-key.h"

#include "tests/test.h"
#include "tests/unit/parse.h"

static uint64_t key_of(const char *text) {
    struct policy policy = POLICY_NULL;
    char line[256];
    uint64_t key;

    snprintf(line, sizeof(line), "%s\n", text);
    parse_valid(&policy, "test", line);
    assert_int_equal(policy.n_rules, 1);
    key = rule_key_make(&policy, &policy.rules[0]);
    policy_deinit(&policy);
    return key;
}

static void the_same_meaning_is_the_same_key(void **state) {
    static const char *const cases[][2] = {
        {"permit any hostname a* limit 1", "permit any hostname a*  limit 7"},
        {"permit any hostname a* limit 1", "permit any hostname a*"},
        {"permit any hostname a* b*", "permit any hostname b* a*"},
        {"permit any hostname LAB?", "permit any hostname lab?"},
        {"permit user alice bob hostname a", "permit user bob alice hostname a"},
        {"permit group g user u hostname a domainname d",
         "permit user u group g domainname d hostname a"},
        {"permit user 7 hostname a", "permit user 7 hostname \"a\""},
        {"permit any hostname node[01-16]", "permit any hostname node0[1-9] node1[0-6]"},
        {"permit any hostname node[01-16]", "permit any hostname \"NODE[01-16]\""},
        {"permit any hostname n[1,3]", "permit any hostname n3 n1"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (key_of(cases[i][0]) != key_of(cases[i][1]))
            fail_msg("'%s' and '%s' count apart", cases[i][0], cases[i][1]);
}

static void another_meaning_is_another_key(void **state) {
    static const char *const rules[] = {
        "permit any hostname a",           "permit any hostname b",
        "permit any hostname a b",         "permit any hostname ab",
        "permit any domainname a",         "permit any hostname a domainname a",
        "permit any hostname a setuid",    "permit any hostname node1 node4",
        "permit any hostname node2 node3", "permit any hostname n1 n1",
        "permit any hostname n1",          "permit user a hostname a",
        "permit user A hostname a",        "permit group a hostname a",
        "permit user 7 hostname a",        "permit group 7 hostname a",
        "permit user 8 hostname a",        "permit any hostname n[01-16]",
        "permit any hostname n[1-16]",     "permit any hostname n[01-16] n[01-16]",
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(rules); i++)
        for (size_t j = 0; j < i; j++)
            if (key_of(rules[i]) == key_of(rules[j]))
                fail_msg("'%s' and '%s' count together", rules[i], rules[j]);
}

/*
 * An upgrade changes no key: the ledger's list has the keys of commands that run, and a service
 * that is not reloaded yet still sends its own. Else each user could start as many commands again.
 */
static void keys_are_those_of_each_version(void **state) {
    static const struct {
        const char *rule;
        uint64_t key;
    } cases[] = {
        {"permit any hostname node* limit 3", UINT64_C(0xe629b33ee1f163d9)},
        {"permit user alice 7 group students hostname a b domainname lab.example",
         UINT64_C(0xac82f25e5b1aacf2)},
        {"permit any hostname node[01-16]", UINT64_C(0x67aa2e8adc072e93)},
        {"permit group 7 hostname * domainname * setuid", UINT64_C(0xeb6c187dcd38fffe)},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (key_of(cases[i].rule) != cases[i].key)
            fail_msg("'%s' has the key 0x%llx", cases[i].rule,
                     (unsigned long long)key_of(cases[i].rule));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_same_meaning_is_the_same_key),
    cmocka_unit_test(another_meaning_is_another_key),
    cmocka_unit_test(keys_are_those_of_each_version),
};

TEST_MAIN(tests)
