#include <stdio.h>

#include "policy/lint/print.h"
#include "policy/lint/readable.h"
#include "policy/tool/explanation.h"
#include "policy/tool/json.h"
#include "policy/tool/load.h"
#include "policy/tool/options.h"

static const char *verdict_word(const struct explanation *explanation) {
    if (explanation_is_permitted(explanation))
        return "permitted";
    if (explanation->decision.verdict == DECISION_PERMITTED)
        return "needs-direct";
    if (explanation->host_alone != NULL)
        return "needs-one-rule";
    return explanation->decision.verdict == DECISION_BAD_NAME ? "bad-name" : "denied";
}

/* Prints the nearest permitted patterns between @before and @after; nothing if there are none. */
static void print_patterns(const struct explanation *explanation, const char *before,
                           const char *after) {
    for (size_t i = 0; i < explanation->n_nearest; i++) {
        (void)fputs(i == 0 ? before : ", ", stdout);
        print_operand(stdout, explanation->nearest[i], true);
    }
    if (explanation->n_nearest > 0)
        (void)fputs(after, stdout);
}

/* Prints one line of names that are permitted, the best first; nothing if there are none. */
static void print_nearest(const struct explanation *explanation) {
    if (explanation->wrong.is_fixed_permitted)
        (void)printf("%s%s", explanation->wrong.fixed, explanation->n_nearest > 0 ? ", " : "\n");
    print_patterns(explanation, "", "\n");
}

static void print_name(const char *what, const char *name) {
    if (name == NULL)
        return;
    (void)printf(", %s '", what);
    readable_print(stdout, name);
    (void)putchar('\'');
}

/* Prints the answer on one line: "permitted: alice, host name 'a', by FILE:LINE (...)". */
static void print_answer(const struct explanation *explanation) {
    const struct tool_options *options = explanation->options;
    const struct decision *decision = &explanation->decision;
    const struct wrong_name *wrong = &explanation->wrong;

    (void)printf("%s: ", explanation_is_permitted(explanation) ? "permitted" : "denied");
    readable_print(stdout, options->is_self ? "you" : options->user);
    print_name("host name", options->hostname);
    print_name("NIS domain name", options->domainname);
    if (decision->rule != NULL)
        (void)printf(", by %s:%u", decision->rule->file, decision->rule->line);
    if (explanation->reason[0] != '\0')
        (void)printf(decision->rule != NULL ? " (%s)" : ": %s", explanation->reason);
    if (wrong->fixed[0] != '\0')
        (void)printf("; '%s' is %s", wrong->fixed,
                     wrong->is_fixed_permitted ? "permitted" : "valid, but not permitted");
    print_patterns(explanation, "; nearest permitted names: ", "");
    (void)putchar('\n');
}

static void print_explanation(const struct explanation *explanation) {
    print_answer(explanation);
    if (explanation->options->is_brief)
        return;
    if (explanation->decision.rule != NULL) {
        (void)fputs("    ", stdout);
        print_rule(stdout, explanation->policy, explanation->decision.rule);
        (void)putchar('\n');
    }
    for (size_t i = 0; i < explanation->n_misses; i++) {
        const struct miss *miss = &explanation->misses[i];

        (void)printf("not by %s:%u: %s\n    ", miss->rule->file, miss->rule->line, miss->why);
        print_rule(stdout, explanation->policy, miss->rule);
        (void)putchar('\n');
    }
}

/* Returns null if the names are valid, or permitted all the same. */
static json_t *json_of_wrong_name(const struct explanation *explanation) {
    const struct wrong_name *wrong = &explanation->wrong;
    bool is_known = wrong->fixed[0] != '\0';

    if (!explanation->has_wrong_name)
        return json_null();
    return json_pack("{ss so si so sb}", "kind", wrong->is_host ? "hostname" : "domainname", "why",
                     json_of_text(wrong->fault.what), "position", (int)wrong->fault.position,
                     "meant", json_of_text(is_known ? wrong->fixed : NULL), "permitted",
                     (int)wrong->is_fixed_permitted);
}

static json_t *json_of_rules_of_each(const struct explanation *explanation) {
    if (explanation->host_alone == NULL)
        return json_null();
    return json_pack("{so so}", "hostname",
                     json_of_rule(explanation->policy, explanation->host_alone), "domainname",
                     json_of_rule(explanation->policy, explanation->domain_alone));
}

static int print_json(const struct explanation *explanation) {
    const struct tool_options *options = explanation->options;
    const struct decision *decision = &explanation->decision;
    json_t *misses = json_array(), *nearest = json_array();

    for (size_t i = 0; i < explanation->n_misses; i++)
        (void)json_array_append_new(
            misses, json_pack("{so so}", "rule",
                              json_of_rule(explanation->policy, explanation->misses[i].rule), "why",
                              json_of_text(explanation->misses[i].why)));
    for (size_t i = 0; i < explanation->n_nearest; i++)
        (void)json_array_append_new(nearest, json_of_text(explanation->nearest[i]));
    return json_show(
        json_pack("{ss so so so so so so so so so}", "verdict", verdict_word(explanation), "user",
                  json_of_text(options->user), "hostname", json_of_text(options->hostname),
                  "domainname", json_of_text(options->domainname), "rule",
                  json_of_rule(explanation->policy, decision->rule), "reason",
                  json_of_text(explanation->reason[0] != '\0' ? explanation->reason : NULL),
                  "missed", misses, "nearest", nearest, "invalid", json_of_wrong_name(explanation),
                  "alone", json_of_rules_of_each(explanation)));
}

int explain_run(const struct tool_options *options) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    CLEANUP_EXPLANATION struct explanation explanation = {.n_misses = 0};

    if (load_policy(&policy, options) != 0)
        return TOOL_FAILED;
    if (explanation_init(&explanation, &policy, options) < 0)
        return TOOL_FAILED;
    if (options->is_nearest)
        print_nearest(&explanation);
    else if (!options->is_json)
        print_explanation(&explanation);
    else if (print_json(&explanation) != 0)
        return TOOL_FAILED;
    return explanation_is_permitted(&explanation) ? TOOL_YES : TOOL_NO;
}
