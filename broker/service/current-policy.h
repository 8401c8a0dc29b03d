#pragma once

/* The policy as the service has it now. It is read again when its folders or files have changed. */

#include <stdbool.h>
#include <stddef.h>

#include "broker/session/policy-snapshot.h"
#include "policy/fingerprint.h"

struct current_policy {
    const char *const *folders;
    size_t n_folders;
    struct policy_snapshot snapshot;
    struct fingerprint fingerprint; /* of what the snapshot was made from */
    unsigned generation;            /* how often it was read */
    bool has_names;                 /* of users or groups, which are looked up */
};

void current_policy_refresh(struct current_policy *current);
void current_policy_deinit(struct current_policy *current);
