#pragma once

/* What somebody may have meant who asked for a name that they may not have. */

#include "policy/decision.h"

bool suggest_is_had(const struct selection *selection, const struct policy_pattern *pattern);
size_t suggest_patterns(const struct selection *selection, enum policy_name_kind kind,
                        const char *name, const char **patterns, size_t max);
