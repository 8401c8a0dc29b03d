#include "policy/tool/explanation.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/lint/suggest.h"
#include "policy/name-pattern.h"
#include "policy/tool/load.h"

/* Frees what @explanation holds. */
void explanation_deinit(struct explanation *explanation) {
    selection_deinit(&explanation->selection);
    subject_deinit(&explanation->subject);
    free(explanation->misses);
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

/* Finds all rules that almost decide. Returns 0, or a negative errno after a message. */
static int find_misses(struct explanation *explanation) {
    const struct policy *policy = explanation->policy;
    int r = 0;

    explanation->misses = calloc(policy->n_rules + 1, sizeof(*explanation->misses));
    if (explanation->misses == NULL) {
        (void)fputs("utspolicy: out of memory\n", stderr);
        return -ENOMEM;
    }
    for (size_t i = 0; i < policy->n_rules && r == 0; i++)
        r = check_rule(explanation, &policy->rules[i]);
    if (r < 0)
        (void)fprintf(stderr, "utspolicy: could not look up a rule's users and groups: %s\n",
                      strerror(-r));
    return r < 0 ? r : 0;
}

/* Finds the rules that permit each of two names alone, where no rule permits both. */
static void find_rules_of_each(struct explanation *explanation) {
    const struct tool_options *options = explanation->options;
    struct decision host, domain;

    if (explanation->decision.verdict == DECISION_PERMITTED || options->hostname == NULL ||
        options->domainname == NULL)
        return;
    host = selection_decide(&explanation->selection, options->hostname, NULL);
    domain = selection_decide(&explanation->selection, NULL, options->domainname);
    if (host.verdict != DECISION_PERMITTED || domain.verdict != DECISION_PERMITTED)
        return;
    explanation->host_alone = host.rule;
    explanation->domain_alone = domain.rule;
}

/* Finds the valid name that was meant by the wrong one: if possible one that is permitted. */
static void find_meant_name(struct explanation *explanation, const char *host, const char *domain) {
    static const char blanks[] = {'-', '\0', '-'}; /* the last one, if none is permitted */
    struct wrong_name *wrong = &explanation->wrong;
    const char *name = wrong->is_host ? host : domain;

    for (size_t i = 0; i < sizeof(blanks) && !wrong->is_fixed_permitted; i++) {
        if (!name_fault_fix(name, blanks[i], wrong->fixed))
            continue;
        if (wrong->is_host)
            host = wrong->fixed;
        else
            domain = wrong->fixed;
        wrong->is_fixed_permitted =
            selection_decide(&explanation->selection, host, domain).verdict == DECISION_PERMITTED;
    }
}

/* Looks at the first of the refused names that is not a valid host name. */
static void find_wrong_name(struct explanation *explanation) {
    const char *host = explanation->options->hostname, *domain = explanation->options->domainname;
    unsigned refused = explanation->decision.names;
    struct wrong_name *wrong = &explanation->wrong;

    if (explanation->host_alone != NULL)
        return;
    wrong->is_host = (refused & DECISION_HOSTNAME) != 0 && name_fault_find(host, &wrong->fault);
    explanation->has_wrong_name = wrong->is_host || ((refused & DECISION_DOMAINNAME) != 0 &&
                                                     name_fault_find(domain, &wrong->fault));
    if (explanation->has_wrong_name)
        find_meant_name(explanation, host, domain);
}

static void find_nearest(struct explanation *explanation) {
    const struct tool_options *options = explanation->options;
    bool is_host = (explanation->decision.names & DECISION_HOSTNAME) != 0;
    const char *name = is_host ? options->hostname : options->domainname;
    size_t n;

    if (explanation->decision.verdict == DECISION_PERMITTED || explanation->host_alone != NULL)
        return;
    if (explanation->has_wrong_name) {
        is_host = explanation->wrong.is_host;
        name = explanation->wrong.fixed[0] != '\0' ? explanation->wrong.fixed
               : is_host                           ? options->hostname
                                                   : options->domainname;
    }
    n = suggest_patterns(&explanation->selection, is_host ? POLICY_HOSTNAME : POLICY_DOMAINNAME,
                         name, explanation->nearest, NEAREST_MAX);
    for (size_t i = 0; i < n; i++)
        if (!explanation->wrong.is_fixed_permitted || strcmp(explanation->nearest[i], name) != 0)
            explanation->nearest[explanation->n_nearest++] = explanation->nearest[i];
}

__attribute__((format(printf, 2, 3))) static void add_reason(struct explanation *explanation,
                                                             const char *text, ...) {
    size_t length = strlen(explanation->reason);
    va_list arguments;

    if (length > 0)
        length += (size_t)snprintf(explanation->reason + length,
                                   sizeof(explanation->reason) - length, "; ");
    if (length >= sizeof(explanation->reason))
        return;
    va_start(arguments, text);
    (void)vsnprintf(explanation->reason + length, sizeof(explanation->reason) - length, text,
                    arguments);
    va_end(arguments);
}

static void add_reason_of_name(struct explanation *explanation) {
    const struct tool_options *options = explanation->options;
    const struct wrong_name *wrong = &explanation->wrong;
    const char *name = wrong->is_host ? options->hostname : options->domainname;
    bool has_both = options->hostname != NULL && options->domainname != NULL;

    add_reason(explanation, "%s is not a valid host name (RFC 1123): %s",
               !has_both        ? "it"
               : wrong->is_host ? "the host name"
                                : "the NIS domain name",
               wrong->fault.what);
    if (explanation->decision.verdict == DECISION_BAD_NAME)
        add_reason(explanation,
                   name_is_printable(name) ? "no rule spells it out" : "no rule can permit it");
}

static void set_reason(struct explanation *explanation) {
    const struct policy_rule *rule = explanation->decision.rule;

    if (explanation->decision.verdict == DECISION_PERMITTED) {
        explanation->needs_direct = rule->is_setuid;
        if (rule->is_setuid)
            add_reason(explanation, "only in direct mode: the service does not support setuid");
        if (rule->limit != 0)
            add_reason(explanation, "limit %u: counted by the ledger%s; refused without a ledger",
                       (unsigned)rule->limit, rule->is_setuid ? "" : " in both modes");
        return;
    }
    if (explanation->host_alone != NULL)
        add_reason(explanation,
                   "each is permitted alone (by %s:%u and %s:%u), but one rule must permit both",
                   explanation->host_alone->file, explanation->host_alone->line,
                   explanation->domain_alone->file, explanation->domain_alone->line);
    else if (explanation->decision.is_in_doubt)
        add_reason(explanation, "to everybody, as its user or group is unknown here");
    if (explanation->has_wrong_name)
        add_reason_of_name(explanation);
    else if (rule == NULL && explanation->host_alone == NULL)
        add_reason(explanation, "no rule permits it");
}

/*
 * Decides about the names of @options and explains it. Returns 0, or a negative errno after a
 * message. explanation_deinit() frees in both cases.
 */
int explanation_init(struct explanation *explanation, const struct policy *policy,
                     const struct tool_options *options) {
    int r;

    *explanation = (struct explanation){.options = options, .policy = policy};
    r = load_selection(&explanation->selection, &explanation->subject, policy, options);
    if (r == 0)
        r = find_misses(explanation);
    if (r < 0)
        return r;
    explanation->decision =
        selection_decide(&explanation->selection, options->hostname, options->domainname);
    find_rules_of_each(explanation);
    find_wrong_name(explanation);
    find_nearest(explanation);
    set_reason(explanation);
    return 0;
}

/* True if the request would be granted in the mode of --via. */
bool explanation_is_permitted(const struct explanation *explanation) {
    return explanation->decision.verdict == DECISION_PERMITTED &&
           !(explanation->needs_direct && explanation->options->via == TOOL_VIA_SERVICE);
}
