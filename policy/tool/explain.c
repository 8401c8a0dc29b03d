#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/decision.h"
#include "policy/name-pattern.h"
#include "policy/lint/print.h"
#include "policy/lint/suggest.h"
#include "policy/tool/findings.h"
#include "policy/tool/json.h"
#include "policy/tool/options.h"
#include "policy/tool/subject-options.h"
#include "utsbroker/base.h"

enum { NEAREST_MAX = 3 };

/* A rule that almost decided: only its subjects or only its names match. */
struct miss {
    const struct policy_rule *rule;
    char why[256];
};

struct explanation {
    const struct tool_options *options;
    const struct policy *policy;
    struct subject subject;
    struct selection selection;
    struct decision decision;
    bool needs_direct; /* permitted, but only in direct mode */
    char reason[256];
    struct miss *misses;
    size_t n_misses;
    const char *nearest[NEAREST_MAX];
    size_t n_nearest;
};

static void explanation_deinit(struct explanation *explanation) {
    selection_deinit(&explanation->selection);
    subject_deinit(&explanation->subject);
    free(explanation->misses);
}

#define CLEANUP_EXPLANATION __attribute__((cleanup(explanation_deinit)))

static const char *get_user(const struct explanation *explanation) {
    return explanation->options->is_self ? "you" : explanation->options->user;
}

/* Returns why no pattern of the rule permits @name; NULL: one does, or it is not requested. */
static const char *find_miss_of_name(const struct explanation *explanation,
                                     const struct policy_rule *rule, enum policy_name_kind kind,
                                     const char *name) {
    bool is_host = kind == POLICY_HOSTNAME, has_pattern = false, would_match = false;

    if (name == NULL || rule_matches_name(explanation->policy, rule, kind, name))
        return NULL;
    for (size_t i = 0; i < rule->n_patterns; i++) {
        const struct policy_pattern *pattern =
            &explanation->policy->patterns[rule->first_pattern + i];

        has_pattern |= pattern->kind == kind;
        would_match |= pattern->kind == kind && pattern_matches(pattern->text, name);
    }
    if (would_match)
        return "a wildcard permits only valid host names (RFC 1123): spell out this name";
    if (!has_pattern)
        return is_host ? "it has no hostname pattern" : "it has no domainname pattern";
    return is_host ? "no hostname pattern matches" : "no domainname pattern matches";
}

static void add_miss(struct explanation *explanation, const struct policy_rule *rule,
                     const char *why) {
    struct miss *miss = &explanation->misses[explanation->n_misses++];

    miss->rule = rule;
    (void)snprintf(miss->why, sizeof(miss->why), "%s", why);
}

/* Returns 1 if the rule decides, 0 if not, a negative errno. */
static int check_rule(struct explanation *explanation, const struct policy_rule *rule) {
    const struct tool_options *options = explanation->options;
    const char *why;
    bool is_for, is_in_doubt, matches;
    int r = rule_is_for(explanation->policy, rule, &explanation->subject, &is_for, &is_in_doubt);

    if (r < 0)
        return r;
    matches = rule_matches(explanation->policy, rule, options->hostname, options->domainname);
    if (is_for && matches)
        return 1;
    if (matches) {
        add_miss(explanation, rule,
                 rule->action == POLICY_PERMIT ? "it permits the name, but only for others"
                                               : "it denies the name, but only for others");
    } else if (is_for && rule->action == POLICY_PERMIT) {
        why = find_miss_of_name(explanation, rule, POLICY_HOSTNAME, options->hostname);
        if (why == NULL)
            why = find_miss_of_name(explanation, rule, POLICY_DOMAINNAME, options->domainname);
        add_miss(explanation, rule, why != NULL ? why : "it does not permit both names");
    }
    return 0;
}

static int find_misses(struct explanation *explanation) {
    const struct policy *policy = explanation->policy;
    int r = 0;

    explanation->misses = calloc(policy->n_rules + 1, sizeof(*explanation->misses));
    if (explanation->misses == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < policy->n_rules && r == 0; i++)
        r = check_rule(explanation, &policy->rules[i]);
    return r < 0 ? r : 0;
}

static void set_reason(struct explanation *explanation) {
    const struct policy_rule *rule = explanation->decision.rule;
    const char *why;
    size_t length;

    switch (explanation->decision.verdict) {
    case DECISION_PERMITTED:
        explanation->needs_direct = rule->is_setuid;
        why = rule->is_setuid ? "only in direct mode: the service does not support setuid" : "";
        break;
    case DECISION_BAD_NAME:
        why = "it is not a valid host name (RFC 1123), and no rule spells it out";
        break;
    case DECISION_DENIED:
    default:
        why = rule == NULL                        ? "no rule permits it"
              : explanation->decision.is_in_doubt ? "to everybody, as its user or group is "
                                                    "unknown here"
                                                  : "";
    }
    (void)snprintf(explanation->reason, sizeof(explanation->reason), "%s", why);
    length = strlen(explanation->reason);
    if (rule != NULL && rule->limit != 0)
        (void)snprintf(explanation->reason + length, sizeof(explanation->reason) - length,
                       "%slimit %u: counted by the ledger%s; refused without a ledger",
                       length > 0 ? "; " : "", (unsigned)rule->limit,
                       rule->is_setuid ? "" : " in both modes");
}

static int explanation_init(struct explanation *explanation, const struct policy *policy,
                            const struct tool_options *options) {
    const struct policy_rule *failed;
    unsigned refused;
    bool is_host;
    int r;

    *explanation = (struct explanation){.options = options, .policy = policy};
    r = subject_init_from_options(&explanation->subject, policy, options);
    if (r < 0)
        return r;
    r = selection_init(&explanation->selection, policy, &explanation->subject, &failed);
    if (r == 0)
        r = find_misses(explanation);
    if (r < 0) {
        (void)fprintf(stderr, "utspolicy: could not look up a rule's users and groups: %s\n",
                      strerror(-r));
        return r;
    }
    explanation->decision =
        selection_decide(&explanation->selection, options->hostname, options->domainname);
    set_reason(explanation);
    if (explanation->decision.verdict == DECISION_PERMITTED)
        return 0;
    refused = explanation->decision.names;
    is_host = options->hostname != NULL && (refused & DECISION_HOSTNAME) != 0;
    explanation->n_nearest = suggest_patterns(
        &explanation->selection, is_host ? POLICY_HOSTNAME : POLICY_DOMAINNAME,
        is_host ? options->hostname : options->domainname, explanation->nearest, NEAREST_MAX);
    return 0;
}

/* True if the request would be granted in the mode of --via. */
static bool is_permitted(const struct explanation *explanation) {
    return explanation->decision.verdict == DECISION_PERMITTED &&
           !(explanation->needs_direct && explanation->options->via == TOOL_VIA_SERVICE);
}

static const char *verdict_word(const struct explanation *explanation) {
    return is_permitted(explanation)                            ? "permitted"
           : explanation->decision.verdict == DECISION_BAD_NAME ? "bad-name"
           : explanation->decision.verdict == DECISION_DENIED   ? "denied"
                                                                : "needs-direct";
}

/* Prints the nearest permitted names between @before and @after; nothing if there are none. */
static void print_nearest(const struct explanation *explanation, const char *before,
                          const char *after) {
    for (size_t i = 0; i < explanation->n_nearest; i++) {
        (void)fputs(i == 0 ? before : ", ", stdout);
        print_operand(stdout, explanation->nearest[i], true);
    }
    if (explanation->n_nearest > 0)
        (void)fputs(after, stdout);
}

/* Prints the answer on one line: "permitted: alice, host name 'a', by FILE:LINE (...)". */
static void print_answer(const struct explanation *explanation) {
    const struct tool_options *options = explanation->options;
    const struct decision *decision = &explanation->decision;

    (void)printf("%s: %s", is_permitted(explanation) ? "permitted" : "denied",
                 get_user(explanation));
    if (options->hostname != NULL)
        (void)printf(", host name '%s'", options->hostname);
    if (options->domainname != NULL)
        (void)printf(", NIS domain name '%s'", options->domainname);
    if (decision->rule != NULL)
        (void)printf(", by %s:%u", decision->rule->file, decision->rule->line);
    if (explanation->reason[0] != '\0')
        (void)printf(decision->rule != NULL ? " (%s)" : ": %s", explanation->reason);
    print_nearest(explanation, "; nearest permitted names: ", "");
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
        json_pack("{ss so so so so so so so}", "verdict", verdict_word(explanation), "user",
                  json_of_text(options->user), "hostname", json_of_text(options->hostname),
                  "domainname", json_of_text(options->domainname), "rule",
                  json_of_rule(explanation->policy, decision->rule), "reason",
                  json_of_text(explanation->reason[0] != '\0' ? explanation->reason : NULL),
                  "missed", misses, "nearest", nearest));
}

int explain_run(const struct tool_options *options) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    CLEANUP_FINDINGS struct findings findings = {.n = 0};
    CLEANUP_EXPLANATION struct explanation explanation = {.n_misses = 0};
    int r = findings_load_policy(&policy, options, 0, &findings);

    if (r != 0) {
        findings_print(&findings, stderr);
        if (r > 0)
            (void)fputs("utspolicy: all requests are refused until the errors are fixed\n", stderr);
        return TOOL_FAILED;
    }
    if (explanation_init(&explanation, &policy, options) < 0)
        return TOOL_FAILED;
    if (options->is_nearest)
        print_nearest(&explanation, "", "\n");
    else if (!options->is_json)
        print_explanation(&explanation);
    else if (print_json(&explanation) != 0)
        return TOOL_FAILED;
    return is_permitted(&explanation) ? TOOL_YES : TOOL_NO;
}
