#include "broker/session/policy-snapshot.h"

#include <stdio.h>
#include <string.h>

#include "policy/loader.h"

struct errors {
    struct policy_snapshot *snapshot;
    unsigned n;
};

/* The first error is told whole; the rest are counted. */
static void note_error(void *context, const struct policy_error *error) {
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

static void count_errors(const struct errors *errors) {
    struct policy_snapshot *snapshot = errors->snapshot;
    size_t length = strlen(snapshot->reason);

    if (errors->n > 1)
        (void)snprintf(snapshot->reason + length, sizeof(snapshot->reason) - length,
                       " (and %u more errors)", errors->n - 1);
}

/*
 * Loads the policy of @folders (policy_load()). Whatever goes wrong is said in @snapshot, which
 * refuses then. policy_snapshot_deinit() gives back what it holds.
 */
void policy_snapshot_load(struct policy_snapshot *snapshot, const char *const *folders,
                          size_t n_folders) {
    struct errors errors = {.snapshot = snapshot};
    int r;

    *snapshot = (struct policy_snapshot){.status = PROTOCOL_GRANTED};
    r = policy_load(&snapshot->policy, folders, n_folders, 0, note_error, &errors);
    if (r == 0)
        return;
    snapshot->status = PROTOCOL_POLICY_INVALID;
    count_errors(&errors);
    if (r > 0)
        return;
    snapshot->status = PROTOCOL_KERNEL_REFUSED;
    snapshot->error = -r;
    (void)snprintf(snapshot->reason, sizeof(snapshot->reason), "loading the policy: %s",
                   strerror(-r));
}

/* Frees what @snapshot holds; it refuses afterwards, and can be loaded again. */
void policy_snapshot_deinit(struct policy_snapshot *snapshot) {
    policy_deinit(&snapshot->policy);
    *snapshot = (struct policy_snapshot)POLICY_SNAPSHOT_NULL;
}
