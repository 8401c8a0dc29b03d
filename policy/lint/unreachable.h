#pragma once

/* Which rules are never reached, and which earlier rule is the reason. */

#include "policy/rules.h"

int unreachable_find_all(const struct policy *policy, const struct policy_rule **unreachable_by);
