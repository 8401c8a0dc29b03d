#pragma once

/* The key of a rule's meaning: by it live commands are counted for a limit. */

#include <stdint.h>

#include "policy/rules.h"

uint64_t rule_key_make(const struct policy *policy, const struct policy_rule *rule);
