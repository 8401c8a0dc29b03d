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
    return r;
}
