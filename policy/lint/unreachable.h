#pragma once

/* Which rules are never reached, and because of which. */

#include "policy/rules.h"

int unreachable_find_all(const struct policy *policy, const struct policy_rule **unreachable_by);
