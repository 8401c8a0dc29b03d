#include "broker/ledger/account.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

static struct list *bucket_of(struct accounts *accounts, uid_t uid) {
    return &accounts->buckets[uid % ACCOUNT_BUCKETS];
}

/*
 * The account of @uid, made if there is none. It stays until account_give_back() finds it unused.
 * Returns 0 or -ENOMEM.
 */
int account_take(struct accounts *accounts, uid_t uid, struct account **accountp) {
    struct list *bucket = bucket_of(accounts, uid);
    struct account *account;

    for (struct list_link *link = bucket->first; link != NULL; link = link->next) {
        account = link->owner;
        if (account->uid == uid) {
            *accountp = account;
            return 0;
        }
    }
    account = calloc(1, sizeof(*account));
    if (account == NULL)
        return -ENOMEM;
    account->uid = uid;
    list_append(bucket, &account->link, account);
    *accountp = account;
    return 0;
}

/* Frees @account if nothing is counted in it. To be called when something was given back. */
void account_give_back(struct account *account) {
    if (account->n_connections > 0 || account->n_entries > 0 || account->n_parked > 0)
        return;
    list_remove(&account->link);
    free(account);
}

/* The bound @limit as it is for this user: root has none. */
unsigned account_limit(const struct account *account, unsigned limit) {
    return account->uid == 0 ? UINT_MAX : limit;
}

static struct counter *counter_find(const struct account *account, uint64_t rule_key) {
    for (struct list_link *link = account->counters.first; link != NULL; link = link->next) {
        struct counter *counter = link->owner;

        if (counter->rule_key == rule_key)
            return counter;
    }
    return NULL;
}

/* How many commands of @account live by rules with this key. */
unsigned counter_n_live(const struct account *account, uint64_t rule_key) {
    const struct counter *counter = counter_find(account, rule_key);

    return counter != NULL ? counter->n_live : 0;
}

/* Counts one command more. Returns 0 with *@counterp, for counter_give_back(); -ENOMEM. */
int counter_take(struct account *account, uint64_t rule_key, struct counter **counterp) {
    struct counter *counter = counter_find(account, rule_key);

    if (counter == NULL) {
        counter = calloc(1, sizeof(*counter));
        if (counter == NULL)
            return -ENOMEM;
        *counter = (struct counter){.account = account, .rule_key = rule_key};
        list_append(&account->counters, &counter->link, counter);
    }
    counter->n_live++;
    *counterp = counter;
    return 0;
}

/* A command that was counted has ended. */
void counter_give_back(struct counter *counter) {
    if (--counter->n_live > 0)
        return;
    list_remove(&counter->link);
    free(counter);
}
