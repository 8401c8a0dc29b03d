#pragma once

/* The policy as the service has it now. It is read again when its folders or files have changed. */

#include <stdbool.h>
#include <stddef.h>

#include "broker/service/counters.h"
#include "broker/session/policy-snapshot.h"
#include "policy/fingerprint.h"
#include "policy/subject.h"

struct current_policy {
    const char *const *folders;
    size_t n_folders;
    const struct subject *subject; /* whose service this is: for the log */
    struct policy_snapshot snapshot;
    struct fingerprint fingerprint; /* of what the snapshot was made from */
    struct counters counters;
    unsigned generation;                            /* how often it was read */
    bool has_names;                                 /* of users or groups, which are looked up */
    char logged_error[POLICY_SNAPSHOT_REASON_SIZE]; /* the last error that is in the log */
};

void current_policy_refresh(struct current_policy *current);
void current_policy_deinit(struct current_policy *current);
