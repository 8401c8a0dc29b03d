#pragma once

/* Likely mistakes in a policy that are not errors. */

#include "policy/rules.h"

int warnings_find(const struct policy *policy, bool knows_users, policy_report report,
                  void *context);
