#pragma once

/* The names that a policy permits, one by one, as far as they can be listed. */

#include <stddef.h>

#include "policy/decision.h"

enum {
    NAME_LIST_MAX = 100000,
    NAME_LIST_WORD_MAX = 1000, /* with patterns: a word that makes more names stays a pattern */
};

enum {
    NAME_LIST_E_TOO_MANY = 1, /* more than NAME_LIST_MAX names */
};

struct name_list {
    char **names; /* each once, whatever its case; in the order of the rules */
    size_t n, room;
    size_t n_skipped; /* patterns in the rules that match too many names to list them */
    void *seen;       /* a tree (tsearch(3)) of @names */
    const struct policy_pattern *exceeded; /* NAME_LIST_E_TOO_MANY: the pattern that is too much */
    const struct policy_rule *exceeded_rule;
};

int name_list_init(struct name_list *list, const struct policy *policy,
                   const struct selection *selection, enum policy_name_kind kind,
                   bool has_patterns);
void name_list_deinit(struct name_list *list);
int name_list_compare(const void *a, const void *b);

#define CLEANUP_NAME_LIST __attribute__((cleanup(name_list_deinit)))
