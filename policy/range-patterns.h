#pragma once

/* Words with host ranges as patterns of a rule. */

#include <stdbool.h>
#include <stddef.h>

#include "policy/rules.h"

enum { RANGE_PATTERNS_MAX = 4096 /* that the ranges of one rule can make */ };

int range_patterns_add(struct policy *policy, const struct policy_pattern *word, bool with_sets,
                       size_t *n_patternsp);
