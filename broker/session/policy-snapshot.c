#include "broker/session/policy-snapshot.h"

#include <stdio.h>
#include <string.h>

#include "policy/loader.h"

struct errors {
    struct rulebook *rulebook;
    unsigned n;
};

/* The first error is told whole; the rest are counted. */
static void note_error(void *context, const struct policy_error *error) {
    struct errors *errors = context;
    struct rulebook *rulebook = errors->rulebook;

    if (errors->n++ > 0)
        return;
    if (error->line > 0)
        (void)snprintf(rulebook->reason, sizeof(rulebook->reason), "%s:%u:%u: %s", error->file,
                       error->line, error->column, error->message);
    else
        (void)snprintf(rulebook->reason, sizeof(rulebook->reason), "%s: %s", error->file,
                       error->message);
}

static void count_errors(const struct errors *errors) {
    struct rulebook *rulebook = errors->rulebook;
    size_t length = strlen(rulebook->reason);

    if (errors->n > 1)
        (void)snprintf(rulebook->reason + length, sizeof(rulebook->reason) - length,
                       " (and %u more errors)", errors->n - 1);
}

/*
 * Loads the policy of @folders (policy_load()). Whatever goes wrong is said in @rulebook, which
 * refuses then. rulebook_deinit() gives back what it holds.
 */
void rulebook_load(struct rulebook *rulebook, const char *const *folders, size_t n_folders) {
    struct errors errors = {.rulebook = rulebook};
    int r;

    *rulebook = (struct rulebook){.status = PROTOCOL_GRANTED};
    r = policy_load(&rulebook->policy, folders, n_folders, 0, note_error, &errors);
    if (r == 0)
        return;
    rulebook->status = PROTOCOL_POLICY_INVALID;
    count_errors(&errors);
    if (r > 0)
        return;
    rulebook->status = PROTOCOL_KERNEL_REFUSED;
    rulebook->error = -r;
    (void)snprintf(rulebook->reason, sizeof(rulebook->reason), "loading the policy: %s",
                   strerror(-r));
}

/* Frees what @rulebook holds; it refuses afterwards, and can be loaded again. */
void rulebook_deinit(struct rulebook *rulebook) {
    policy_deinit(&rulebook->policy);
    *rulebook = (struct rulebook)RULEBOOK_NULL;
}
