#pragma once

/* The policy language: text in, rules out. Touches no file; the loader does. */

#include <stddef.h>

#include "policy/rules.h"

int policy_parse(struct policy *policy, const char *file, const char *text, size_t size,
                 policy_report report, void *context);
