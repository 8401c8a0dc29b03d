#pragma once

/* What is no error in a policy and hardly what was meant. */

#include "policy/rules.h"

int warnings_find(const struct policy *policy, bool knows_users, policy_report report,
                  void *context);
