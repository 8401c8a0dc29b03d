#include "broker/service/current-policy.h"

#include <stdio.h>
#include <string.h>

/*
 * Reads the policy again if any of its folders or files has changed, or if there was an error. A
 * session logs the error with each request that it refuses for it.
 */
void current_policy_refresh(struct current_policy *current) {
    struct policy_snapshot *snapshot = &current->snapshot;
    int r;

    if (fingerprint_is_current(&current->fingerprint))
        return;
    current->generation++;
    r = fingerprint_take(&current->fingerprint, current->folders, current->n_folders);
    policy_snapshot_deinit(snapshot);
    policy_snapshot_load(snapshot, current->folders, current->n_folders);
    if (r < 0 && snapshot->status != PROTOCOL_POLICY_INVALID) {
        snapshot->status = PROTOCOL_KERNEL_REFUSED;
        snapshot->error = -r;
        (void)snprintf(snapshot->reason, sizeof(snapshot->reason),
                       "cannot tell whether the policy changes: %s", strerror(-r));
    }
    current->has_names = false;
    for (size_t i = 0; i < snapshot->policy.n_subjects; i++)
        current->has_names |= !snapshot->policy.subjects[i].is_id;
    /* What could not be read may be readable the next time without having changed. */
    if (snapshot->status != PROTOCOL_GRANTED)
        fingerprint_deinit(&current->fingerprint);
}

/* Frees what @current holds. */
void current_policy_deinit(struct current_policy *current) {
    fingerprint_deinit(&current->fingerprint);
    policy_snapshot_deinit(&current->snapshot);
}
