#pragma once

/* How many commands run under each rule that has a limit. */

#include <stddef.h>
#include <stdint.h>

#include "policy/rules.h"

struct counter {
    char *meaning;  /* subjects and patterns of the rule as text: the counter's identity */
    uint32_t limit; /* in the present policy; 0: no rule has this meaning any more */
    uint32_t n_live;
};

/*
 * Counters are never removed while the service runs. So their numbers stay valid when the policy
 * changes, and live commands stay counted for the rule with the same meaning.
 */
struct counters {
    struct counter *list;
    size_t n;
    size_t *of_rule; /* the counter of each rule of the policy, by the rule's index */
};

#define COUNTERS_NULL                                                                              \
    { .list = NULL }

enum {
    COUNTERS_E_REACHED = 1, /* as many commands run as the rule allows */
};

int counters_adopt(struct counters *counters, const struct policy *policy);
int counters_take(struct counters *counters, size_t counter);
void counters_give_back(struct counters *counters, size_t counter);
void counters_deinit(struct counters *counters);
