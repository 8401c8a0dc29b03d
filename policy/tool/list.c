#include <stdio.h>

#include "policy/decision.h"
#include "policy/lint/print.h"
#include "policy/tool/json.h"
#include "policy/tool/load.h"
#include "policy/tool/names.h"
#include "policy/tool/options.h"

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

/* Prints the permitted names and patterns, one a line. For programs, so never quoted. */
static int list_names(const struct tool_options *options) {
    CLEANUP_NAME_LIST struct name_list list = {.n = 0};
    bool is_host = options->names == TOOL_NAMES_HOST;

    if (names_load(&list, options, is_host ? POLICY_HOSTNAME : POLICY_DOMAINNAME, true) != 0)
        return TOOL_FAILED;
    for (size_t i = 0; i < list.n; i++)
        (void)puts(list.names[i]);
    return TOOL_YES;
}

static int list_for_subject(json_t *list, const struct policy *policy,
                            const struct tool_options *options) {
    CLEANUP_SUBJECT struct subject subject = SUBJECT_NULL;
    CLEANUP_SELECTION struct selection selection = SELECTION_NULL;
    int r = load_selection(&selection, &subject, policy, options);

    if (r < 0)
        return r;
    for (size_t i = 0; i < selection.n_rules; i++)
        add_rule(list, policy, selection.rules[i].rule);
    if (selection.n_rules == 0 && list == NULL)
        (void)fprintf(stderr, "utspolicy: no rule applies to %s\n",
                      options->is_self        ? "you"
                      : options->user != NULL ? options->user
                                              : "such a user");
    return 0;
}

int list_run(const struct tool_options *options) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    json_t *list = NULL;
    int r = 0;

    if (options->names != TOOL_NAMES_NONE)
        return list_names(options);
    if (load_policy(&policy, options) != 0)
        return TOOL_FAILED;
    if (options->is_json) {
        list = json_array();
        if (list == NULL)
            return TOOL_FAILED;
    }
    if (options_name_subject(options))
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
