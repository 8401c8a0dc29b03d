#pragma once

/* How many commands live by each rule that has a limit. Only the service counts. */

#include <stddef.h>
#include <stdint.h>

#include "policy/rules.h"

struct counter {
    char *meaning;  /* of the rule: what it is for and what it gives; the counter's identity */
    uint32_t limit; /* as the policy now has it; 0: no rule has this meaning any more */
    uint32_t n_live;
};

/*
 * A counter is never given away while the service lives: numbers of counters stay good when the
 * policy changes, and commands that live go on to count for the rule that means the same.
 */
struct counters {
    struct counter *list;
    size_t n;
    size_t *of_rule; /* the counter of each rule of the policy, by the rule's index */
};

#define COUNTERS_NULL                                                                              \
    { .list = NULL }

enum {
    COUNTERS_E_REACHED = 1, /* as many live as the rule allows */
};

int counters_adopt(struct counters *counters, const struct policy *policy);
int counters_take(struct counters *counters, size_t counter);
void counters_give_back(struct counters *counters, size_t counter);
void counters_deinit(struct counters *counters);
