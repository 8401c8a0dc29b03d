#pragma once

/* Which permitted names are similar to a name that is refused. */

#include "policy/decision.h"

bool suggest_is_permitted(const struct selection *selection, const struct policy_pattern *pattern);
size_t suggest_patterns(const struct selection *selection, enum policy_name_kind kind,
                        const char *name, const char **patterns, size_t max);
