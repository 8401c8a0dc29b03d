#pragma once

/* The policy's files: which of them count, whether they can be trusted, and in which order. */

#include <stdbool.h>
#include <stddef.h>

#include "policy/rules.h"

enum { LOADER_FILE_SIZE_MAX = 4 << 20 };

bool loader_is_policy_file(const char *name);
int policy_load(struct policy *policy, const char *const *folders, size_t n_folders,
                policy_report report, void *context);
