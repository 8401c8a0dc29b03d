#pragma once

/* The usual layout of a policy file. */

#include <stddef.h>
#include <stdio.h>

#include "policy/rules.h"

int format_text(FILE *out, const char *file, const char *text, size_t size, policy_report report,
                void *context);
