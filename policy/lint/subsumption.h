#pragma once

/*
 * Which rules and patterns cover others: what the narrow one matches, the wide one matches, too. An
 * answer of true is certain; an answer of false may miss a case.
 */

#include <stdbool.h>

#include "policy/rules.h"

/* Bytes of a label's pattern; a longer one is not looked at. */
enum { SUBSUMPTION_LABEL_MAX = 512 };

bool subsumption_of_pattern(const char *wide, const char *narrow);
bool subsumption_find_label(const char *pattern, char label[SUBSUMPTION_LABEL_MAX + 1]);
bool subsumption_of_rule(const struct policy *policy, const struct policy_rule *earlier,
                         const struct policy_rule *later);
bool subsumption_with_label(const struct policy_pattern *wide, const struct policy_pattern *narrow);
bool subsumption_can_meet(const struct policy_pattern *permitted,
                          const struct policy_pattern *denied);
