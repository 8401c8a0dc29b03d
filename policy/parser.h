#pragma once

/* The policy language: text in, rules out. Reads no file; the loader does. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/rules.h"

bool parser_read_number(const char *text, uint64_t max, uint32_t *numberp);
int policy_parse(struct policy *policy, const char *file, const char *text, size_t size,
                 policy_report report, void *context);
