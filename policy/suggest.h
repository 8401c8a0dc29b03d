#pragma once

/* What somebody may have meant who asked for a name that they may not have. */

#include "policy/decision.h"

size_t suggest_patterns(const struct selection *selection, enum policy_name_kind kind,
                        const char *name, const char **patterns, size_t max);
