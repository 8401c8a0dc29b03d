#include "policy/tool/load.h"

#include <stdio.h>
#include <string.h>

#include "policy/tool/findings.h"
#include "policy/tool/subject-options.h"

/*
 * Loads the policy for a command that answers by it. Returns 0, or TOOL_FAILED after a message for
 * each error.
 */
int load_policy(struct policy *policy, const struct tool_options *options) {
    CLEANUP_FINDINGS struct findings findings = {.n = 0};
    int r = findings_load_policy(policy, options, 0, &findings);

    if (r == 0)
        return 0;
    findings_print(&findings, stderr);
    if (r > 0)
        (void)fputs("utspolicy: all requests are refused until the errors are fixed\n", stderr);
    return TOOL_FAILED;
}

/* Says why a rule is there that names others, and what to do if that is not meant. */
static void tell_of_doubt(const struct selection *selection) {
    for (size_t i = 0; i < selection->n_rules; i++) {
        const struct policy_rule *rule = selection->rules[i].rule;

        if (!selection->rules[i].is_in_doubt)
            continue;
        (void)fprintf(
            stderr,
            "utspolicy: %s:%u: a user or group of this deny rule is unknown here, so it is "
            "for everybody; for the policy of another machine use --no-lookup\n",
            rule->file, rule->line);
        return;
    }
}

/*
 * Selects the rules for the user or group that the options name. Returns 0, or a negative errno
 * after a message. The caller frees both in each case.
 */
int load_selection(struct selection *selection, struct subject *subject,
                   const struct policy *policy, const struct tool_options *options) {
    const struct policy_rule *failed;
    int r = subject_init_from_options(subject, policy, options);

    if (r < 0)
        return r;
    r = selection_init(selection, policy, subject, &failed);
    if (r < 0)
        (void)fprintf(stderr, "utspolicy: could not look up a rule's users and groups: %s\n",
                      strerror(-r));
    else if (options->has_own_folders)
        tell_of_doubt(selection);
    return r;
}
