#pragma once

/* Loads the policy's files: whether they can be trusted, reading them, parsing them. */

#include <stddef.h>

#include "policy/folders.h"
#include "policy/rules.h"

enum { LOADER_FILE_SIZE_MAX = 4 << 20 };

/* For utspolicy, which shows a policy and grants nothing. The broker uses none of them. */
enum {
    LOADER_WARNS = 1U << 0,          /* reports, as warnings, which files are not read */
    LOADER_TRUSTS_ANYBODY = 1U << 1, /* also reads files that others than root can change */
    LOADER_FOR_ALL_USERS = 1U << 2,  /* what some users cannot read is an error */
};

int policy_load_with(struct policy *policy, const char *const *folders, size_t n_folders,
                     const struct folder_given *given, size_t n_given, unsigned flags,
                     policy_report report, void *context);

/* The same without given texts. */
static inline int policy_load(struct policy *policy, const char *const *folders, size_t n_folders,
                              unsigned flags, policy_report report, void *context) {
    return policy_load_with(policy, folders, n_folders, NULL, 0, flags, report, context);
}
