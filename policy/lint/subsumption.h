#pragma once

/* Which rule decides before another can: what one matches, an earlier one matches, too. */

#include <stdbool.h>

#include "policy/rules.h"

bool subsumption_of_pattern(const char *wide, const char *narrow);
bool subsumption_of_rule(const struct policy *policy, const struct policy_rule *earlier,
                         const struct policy_rule *later);
bool subsumption_find_late(const struct policy *policy, const struct policy_rule *permit,
                           const struct policy_rule *deny, const struct policy_pattern **deniedp,
                           const struct policy_pattern **permittedp);
