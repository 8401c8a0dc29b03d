#pragma once

/* The policy language: text in, rules out. Touches no file; the loader does. */

#include <stdbool.h>
#include <stddef.h>

#include "policy/rules.h"

bool parser_is_keyword(const char *word);
int policy_parse(struct policy *policy, const char *file, const char *text, size_t size,
                 policy_report report, void *context);
