#include <stdio.h>
#include <string.h>

#include "policy/loader.h"
#include "policy/tool/allowed.h"
#include "policy/tool/findings.h"
#include "policy/tool/json.h"
#include "policy/tool/options.h"
#include "policy/lint/warnings.h"

static int get_exit(const struct findings *findings, const struct tool_options *options) {
    if (findings->n_errors > 0)
        return TOOL_FAILED;
    return options->is_strict && findings->n > 0 ? TOOL_NO : TOOL_YES;
}

static int print_json(const struct findings *findings, const struct policy *policy) {
    return json_show(json_pack("{so so si}", "errors", json_of_findings(findings, POLICY_ERROR),
                               "warnings", json_of_findings(findings, POLICY_WARNING), "rules",
                               (int)policy->n_rules));
}

static void print_text(const struct findings *findings, const struct policy *policy) {
    size_t n_warnings = findings->n - findings->n_errors;

    findings_print(findings, stderr);
    if (findings->n_errors > 0)
        (void)fprintf(stderr,
                      "utspolicy: %zu error%s, %zu warning%s; all requests are refused until the "
                      "errors are fixed\n",
                      findings->n_errors, findings->n_errors == 1 ? "" : "s", n_warnings,
                      n_warnings == 1 ? "" : "s");
    else
        (void)printf("%zu rule%s, no error, %zu warning%s\n", policy->n_rules,
                     policy->n_rules == 1 ? "" : "s", n_warnings, n_warnings == 1 ? "" : "s");
}

int check_run(const struct tool_options *options) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    CLEANUP_FINDINGS struct findings findings = {.n = 0};
    int r = findings_load_policy(&policy, options, LOADER_WARNS, &findings);

    /* Also if there are errors, so that errors and warnings can be fixed together. */
    if (r >= 0) {
        r = warnings_find(&policy, !options->has_no_lookup, findings_add, &findings);
        if (r == 0)
            r = allowed_remove(&findings, &policy, !options->has_no_lookup);
        if (r < 0 || findings.is_out_of_memory) {
            (void)fprintf(stderr, "utspolicy: could not look for warnings: out of memory\n");
            return TOOL_FAILED;
        }
    }
    if (r < 0)
        return TOOL_FAILED;
    findings_sort(&findings);
    if (!options->is_json)
        print_text(&findings, &policy);
    else if (print_json(&findings, &policy) != 0)
        return TOOL_FAILED;
    return get_exit(&findings, options);
}
