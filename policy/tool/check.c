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

/* Prints "N rules, no error, M warnings" or "N errors, M warnings". */
static void print_counts(FILE *out, const struct findings *findings, const struct policy *policy,
                         bool is_given) {
    size_t n_errors = findings_count(findings, POLICY_ERROR, is_given);
    size_t n_warnings = findings_count(findings, POLICY_WARNING, is_given);
    size_t n_rules = 0;

    for (size_t i = 0; i < policy->n_rules; i++)
        n_rules += findings_are_given(findings, policy->rules[i].file) == is_given;
    if (n_errors == 0)
        (void)fprintf(out, "%zu rule%s, no error", n_rules, n_rules == 1 ? "" : "s");
    else
        (void)fprintf(out, "%zu error%s", n_errors, n_errors == 1 ? "" : "s");
    (void)fprintf(out, ", %zu warning%s", n_warnings, n_warnings == 1 ? "" : "s");
}

static const char *get_consequence(const struct findings *findings) {
    if (findings->n_errors == 0)
        return "";
    return findings_count(findings, POLICY_ERROR, false) > 0
               ? "; all requests are refused until the errors are fixed"
               : "; with these errors all requests would be refused";
}

static void print_text(const struct findings *findings, const struct policy *policy) {
    const struct given_files *given = findings->given;
    FILE *out = findings->n_errors > 0 ? stderr : stdout;

    findings_print(findings, stderr);
    if (findings->n_errors > 0)
        (void)fputs("utspolicy: ", out);
    if (given != NULL && given->n == 1)
        (void)fprintf(out, "%s: ", given->list[0].path);
    else if (given != NULL)
        (void)fprintf(out, "%zu files: ", given->n);
    print_counts(out, findings, policy, given != NULL);
    if (given != NULL) {
        (void)fputs("; other files: ", out);
        print_counts(out, findings, policy, false);
    }
    (void)fprintf(out, "%s\n", get_consequence(findings));
    (void)fflush(out);
}

static int check_policy(const struct tool_options *options, struct findings *findings) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    int r = findings_load_policy(&policy, options, LOADER_WARNS, findings);

    /* Also if there are errors, so that errors and warnings can be fixed together. */
    if (r >= 0) {
        r = warnings_find(&policy, !options->has_no_lookup, findings_add, findings);
        if (r == 0)
            r = allowed_remove(findings, &policy, !options->has_no_lookup);
        if (r < 0 || findings->is_out_of_memory) {
            (void)fprintf(stderr, "utspolicy: could not look for warnings: out of memory\n");
            return TOOL_FAILED;
        }
    }
    if (r < 0)
        return TOOL_FAILED;
    findings_sort(findings);
    if (!options->is_json)
        print_text(findings, &policy);
    else if (print_json(findings, &policy) != 0)
        return TOOL_FAILED;
    return get_exit(findings, options);
}

int check_run(const struct tool_options *options) {
    CLEANUP_GIVEN_FILES struct given_files given = {.list = NULL};
    CLEANUP_FINDINGS struct findings findings = {.n = 0};

    if (options->n_files == 0)
        return check_policy(options, &findings);
    if (given_files_read(&given, options) < 0)
        return TOOL_FAILED;
    findings.given = &given;
    return check_policy(options, &findings);
}
