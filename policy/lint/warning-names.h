#pragma once

/* The names of warnings: policy_error.kind. Each stays as it is, as programs and comments use it.
 */

#include <stdbool.h>
#include <stddef.h>

/* What a warning is about: only a rule, or a whole file, can carry a comment that silences it. */
enum warning_scope { WARNING_OF_NOTHING, WARNING_OF_RULE, WARNING_OF_FILE, WARNING_OF_COMMENT };

enum warning_scope warning_name_find(const char *name, size_t length);
