/*
 * Loads the policy snapshot.
 *
 * Runs in the session of direct mode (step 2) and in the service, as the user. CAP_SYS_ADMIN is
 * permitted but not effective, and the process has read nothing that a stranger sent.
 */

#include "broker/session/policy-snapshot.h"

#include <stdio.h>
#include <string.h>

#include "policy/loader.h"

struct errors {
    struct policy_snapshot *snapshot;
    unsigned n;
};

/* Keeps the text of the first error and counts the rest. */
static void policy_snapshot_note_error(void *context, const struct policy_error *error) {
    struct errors *errors = context;
    struct policy_snapshot *snapshot = errors->snapshot;

    if (errors->n++ > 0)
        return;
    if (error->line > 0)
        (void)snprintf(snapshot->reason, sizeof(snapshot->reason), "%s:%u:%u: %s", error->file,
                       error->line, error->column, error->message);
    else
        (void)snprintf(snapshot->reason, sizeof(snapshot->reason), "%s: %s", error->file,
                       error->message);
}

/* Adds the number of the other errors to the reason. */
static void policy_snapshot_append_error_count(const struct errors *errors) {
    struct policy_snapshot *snapshot = errors->snapshot;
    size_t length = strlen(snapshot->reason);

    if (errors->n > 1)
        (void)snprintf(snapshot->reason + length, sizeof(snapshot->reason) - length,
                       " (and %u more errors)", errors->n - 1);
}

/*
 * Loads the policy of @folders (policy_load()). On failure @snapshot holds the status and the
 * reason to refuse every request with. policy_snapshot_deinit() frees what it holds.
 */
void policy_snapshot_load(struct policy_snapshot *snapshot, const char *const *folders,
                          size_t n_folders) {
    struct errors errors = {.snapshot = snapshot};
    int r;

    *snapshot = (struct policy_snapshot){.status = PROTOCOL_GRANTED};
    r = policy_load(&snapshot->policy, folders, n_folders, 0, policy_snapshot_note_error, &errors);
    if (r == 0)
        return;
    snapshot->status = PROTOCOL_POLICY_INVALID;
    policy_snapshot_append_error_count(&errors);
    if (r > 0)
        return;
    snapshot->status = PROTOCOL_KERNEL_REFUSED;
    snapshot->error = -r;
    (void)snprintf(snapshot->reason, sizeof(snapshot->reason), "cannot load the policy: %s",
                   strerror(-r));
}

/* Frees what @snapshot holds. It refuses every request after that, until it is loaded again. */
void policy_snapshot_deinit(struct policy_snapshot *snapshot) {
    policy_deinit(&snapshot->policy);
    *snapshot = (struct policy_snapshot)POLICY_SNAPSHOT_NULL;
}
