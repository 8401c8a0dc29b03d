#pragma once

/* Words that are valid, but mean something else in the languages of other programs. */

#include "policy/rules.h"

void habits_find(const struct policy *policy, const struct policy_rule *rule, policy_report report,
                 void *context);
