#pragma once

/* Which permitted names are similar to a name that is refused. */

#include "policy/decision.h"

size_t suggest_patterns(const struct selection *selection, enum policy_name_kind kind,
                        const char *name, const char **patterns, size_t max);
