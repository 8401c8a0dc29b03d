#pragma once

/* The policy's files: which of them count, whether they can be trusted, and in which order. */

#include <stdbool.h>
#include <stddef.h>

#include "policy/rules.h"

enum { LOADER_FILE_SIZE_MAX = 4 << 20 };

/* For those who look at a policy, and give nobody anything by it. */
enum {
    LOADER_WARNS = 1U << 0,          /* reports, as warnings, what is masked or ignored */
    LOADER_TRUSTS_ANYBODY = 1U << 1, /* takes files that are not root's alone, as in a checkout */
};

bool loader_is_policy_file(const char *name);
int policy_load(struct policy *policy, const char *const *folders, size_t n_folders, unsigned flags,
                policy_report report, void *context);
