#pragma once

/* Which rules are never reached, and which earlier rule is the reason. */

#include "policy/rules.h"

struct unreachable_entry;

struct unreachable_index {
    const struct policy *policy;
    struct unreachable_entry *entries;
    size_t n_entries;
    struct unreachable_entry **buckets;
    size_t n_buckets; /* a power of two */
};

int unreachable_index_init(struct unreachable_index *index, const struct policy *policy);
void unreachable_index_deinit(struct unreachable_index *index);
const struct policy_rule *unreachable_index_find(const struct unreachable_index *index,
                                                 const struct policy_rule *rule, size_t before);
void unreachable_find_all(const struct unreachable_index *index,
                          const struct policy_rule **unreachable_by);

#define CLEANUP_UNREACHABLE_INDEX __attribute__((cleanup(unreachable_index_deinit)))
