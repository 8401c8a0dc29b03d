/* What the ledger counts for each user. */

#include "broker/ledger/account.h"

#include <limits.h>

#include "tests/test.h"

static void users_are_counted_apart_and_forgotten(void **state) {
    static struct accounts accounts;
    struct account *list[1000], *same;

    (void)state;
    for (uid_t uid = 0; uid < 1000; uid++) {
        assert_int_equal(account_take(&accounts, uid, &list[uid]), 0);
        list[uid]->n_connections = 1;
    }
    for (uid_t uid = 0; uid < 1000; uid++) {
        assert_int_equal(account_take(&accounts, uid, &same), 0);
        assert_ptr_equal(same, list[uid]);
        assert_int_equal(same->uid, uid);
    }
    for (uid_t uid = 0; uid < 1000; uid++) {
        account_give_back(list[uid]); /* it has a connection: it stays */
        list[uid]->n_connections = 0;
        account_give_back(list[uid]);
    }
    for (size_t i = 0; i < ACCOUNT_BUCKETS; i++)
        assert_int_equal(accounts.buckets[i].n, 0);
}

static void live_commands_are_counted_for_each_meaning(void **state) {
    static struct accounts accounts;
    struct account *account;
    struct counter *counters[3];

    (void)state;
    assert_int_equal(account_take(&accounts, 7, &account), 0);
    account->n_entries = 3;
    assert_int_equal(counter_n_live(account, 1), 0);
    assert_int_equal(counter_take(account, 1, &counters[0]), 0);
    assert_int_equal(counter_take(account, 1, &counters[1]), 0);
    assert_int_equal(counter_take(account, 2, &counters[2]), 0);
    assert_int_equal(counter_n_live(account, 1), 2);
    assert_int_equal(counter_n_live(account, 2), 1);
    counter_give_back(counters[0]);
    assert_int_equal(counter_n_live(account, 1), 1);
    counter_give_back(counters[1]);
    counter_give_back(counters[2]);
    assert_int_equal(counter_n_live(account, 1), 0);
    assert_int_equal(account->counters.n, 0);
    account->n_entries = 0;
    account_give_back(account);
}

static void only_root_has_no_bound(void **state) {
    const struct account root = {.uid = 0}, user = {.uid = 1};

    (void)state;
    assert_int_equal(account_limit(&root, ACCOUNT_ENTRIES_MAX), UINT_MAX);
    assert_int_equal(account_limit(&user, ACCOUNT_ENTRIES_MAX), 4096);
    assert_int_equal(account_limit(&user, ACCOUNT_CONNECTIONS_MAX), 256);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(users_are_counted_apart_and_forgotten),
    cmocka_unit_test(live_commands_are_counted_for_each_meaning),
    cmocka_unit_test(only_root_has_no_bound),
};

TEST_MAIN(tests)
