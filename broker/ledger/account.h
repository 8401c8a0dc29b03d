#pragma once

/* What the ledger counts for each user: connections, entries, and live commands of each rule. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/list.h"

enum {
    ACCOUNT_CONNECTIONS_MAX = 256,
    ACCOUNT_ENTRIES_MAX = 4096,
    ACCOUNT_PARKED_MAX = 256,
    ACCOUNT_BUCKETS = 256,
};

struct accounts {
    struct list buckets[ACCOUNT_BUCKETS];
};

struct account {
    struct list_link link;
    uid_t uid;
    unsigned n_connections;
    unsigned n_entries;
    unsigned n_parked; /* descriptors that were sent and must not be closed */
    struct list counters;
};

/* The live commands of one user by the rules of one meaning. */
struct counter {
    struct list_link link;
    struct account *account;
    uint64_t rule_key;
    unsigned n_live;
};

int account_take(struct accounts *accounts, uid_t uid, struct account **accountp);
void account_give_back(struct account *account);
unsigned account_limit(const struct account *account, unsigned limit);
int counter_take(struct account *account, uint64_t rule_key, struct counter **counterp);
void counter_give_back(struct counter *counter);
unsigned counter_n_live(const struct account *account, uint64_t rule_key);
