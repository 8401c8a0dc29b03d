#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policy/decision.h"
#include "policy/lint/print.h"
#include "policy/lint/suggest.h"
#include "policy/tool/findings.h"
#include "policy/tool/json.h"
#include "policy/tool/options.h"
#include "policy/tool/subject-options.h"

static void print_rule_line(const struct policy *policy, const struct policy_rule *rule) {
    (void)printf("%s:%u: ", rule->file, rule->line);
    print_rule(stdout, policy, rule);
    (void)putchar('\n');
}

/* Prints @rule, or adds it to @list if that is not NULL. */
static void add_rule(json_t *list, const struct policy *policy, const struct policy_rule *rule) {
    if (list == NULL)
        print_rule_line(policy, rule);
    else
        (void)json_array_append_new(list, json_of_rule(policy, rule));
}

/* True if the same pattern is in an earlier rule, or earlier in this one. */
static bool is_repeated(const struct selection *selection, size_t n_rules,
                        const struct policy_pattern *pattern) {
    const struct policy_pattern *all = selection->policy->patterns;

    for (size_t i = 0; i <= n_rules; i++) {
        const struct policy_rule *rule = selection->rules[i].rule;

        for (size_t j = 0; rule->action == POLICY_PERMIT && j < rule->n_patterns; j++) {
            const struct policy_pattern *earlier = &all[rule->first_pattern + j];

            if (earlier == pattern)
                return false;
            if (earlier->kind == pattern->kind && strcmp(earlier->text, pattern->text) == 0)
                return true;
        }
    }
    return false;
}

/* Prints the permitted patterns of @kind, one a line. For programs, so never quoted. */
static void print_names(const struct selection *selection, enum policy_name_kind kind) {
    for (size_t i = 0; i < selection->n_rules; i++) {
        const struct policy_rule *rule = selection->rules[i].rule;

        for (size_t j = 0; rule->action == POLICY_PERMIT && j < rule->n_patterns; j++) {
            const struct policy_pattern *pattern =
                &selection->policy->patterns[rule->first_pattern + j];

            if (pattern->kind == kind && suggest_is_permitted(selection, pattern) &&
                !is_repeated(selection, i, pattern))
                (void)puts(pattern->text);
        }
    }
}

static int list_for_subject(json_t *list, const struct policy *policy,
                            const struct tool_options *options) {
    CLEANUP_SUBJECT struct subject subject = SUBJECT_NULL;
    CLEANUP_SELECTION struct selection selection = SELECTION_NULL;
    const struct policy_rule *failed;
    int r = subject_init_from_options(&subject, policy, options);

    if (r < 0)
        return r;
    r = selection_init(&selection, policy, &subject, &failed);
    if (r < 0) {
        (void)fprintf(stderr, "utspolicy: could not look up a rule's users and groups: %s\n",
                      strerror(-r));
        return r;
    }
    if (options->names != TOOL_NAMES_NONE) {
        print_names(&selection,
                    options->names == TOOL_NAMES_HOST ? POLICY_HOSTNAME : POLICY_DOMAINNAME);
        return 0;
    }
    for (size_t i = 0; i < selection.n_rules; i++)
        add_rule(list, policy, selection.rules[i].rule);
    if (selection.n_rules == 0 && list == NULL)
        (void)fprintf(stderr, "utspolicy: no rule applies to %s\n",
                      options->is_self ? "you" : options->user);
    return 0;
}

int list_run(const struct tool_options *options) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    CLEANUP_FINDINGS struct findings findings = {.n = 0};
    json_t *list = NULL;
    int r = findings_load_policy(&policy, options, 0, &findings);

    if (r != 0) {
        findings_print(&findings, stderr);
        return TOOL_FAILED;
    }
    if (options->is_json) {
        list = json_array();
        if (list == NULL)
            return TOOL_FAILED;
    }
    if (options->user != NULL || options->is_self)
        r = list_for_subject(list, &policy, options);
    else
        for (size_t i = 0; i < policy.n_rules; i++)
            add_rule(list, &policy, &policy.rules[i]);
    if (r < 0) {
        json_decref(list);
        return TOOL_FAILED;
    }
    return list != NULL ? json_show(json_pack("{so}", "rules", list)) : TOOL_YES;
}
