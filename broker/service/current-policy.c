#include "broker/service/current-policy.h"

#include <string.h>

#include "broker/service/service-log.h"

/*
 * An error in the policy is in the log once, not with each request that is refused for it: as soon
 * as the log takes it, since a policy with an error is read again with each request.
 */
static void error_log(struct current_policy *current) {
    const struct policy_snapshot *snapshot = &current->snapshot;
    struct audit_event event = {.kind = AUDIT_POLICY, .reason = snapshot->reason};

    if (snapshot->status == PROTOCOL_POLICY_INVALID &&
        strcmp(current->logged_error, snapshot->reason) != 0 &&
        service_log_write(current->subject, &event) < 0)
        return;
    memcpy(current->logged_error, snapshot->reason, sizeof(current->logged_error));
}

/*
 * Reads the policy again if any of its folders or files has changed, or if there was an error. Live
 * commands are counted by the new rules from then on.
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
    if (r == 0 && snapshot->status == PROTOCOL_GRANTED)
        r = counters_adopt(&current->counters, &snapshot->policy);
    if (r < 0 && snapshot->status != PROTOCOL_POLICY_INVALID) {
        snapshot->status = PROTOCOL_KERNEL_REFUSED;
        snapshot->error = -r;
    }
    error_log(current);
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
    counters_deinit(&current->counters);
    policy_snapshot_deinit(&current->snapshot);
}
