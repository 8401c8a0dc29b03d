#include "policy/decision.h"

#include <errno.h>
#include <stdlib.h>

#include "policy/name-pattern.h"
#include "utsbroker/base.h"

/*
 * Says in *@is_forp whether @rule is for @subject. A name that nobody knows makes a deny rule one
 * for everybody, with *@is_in_doubtp: if it is only a database that is away, those whom the rule
 * means must not slip through. A permit rule just does not mean anybody by it. Returns 0 or a
 * negative errno if a database did not answer.
 */
int rule_is_for(const struct policy *policy, const struct policy_rule *rule,
                struct subject *subject, bool *is_forp, bool *is_in_doubtp) {
    bool has_unknown = false;

    *is_forp = rule->is_any;
    for (size_t i = 0; i < rule->n_subjects && !*is_forp; i++) {
        const struct policy_subject *meant = &policy->subjects[rule->first_subject + i];
        int r = subject_is_meant(subject, meant, is_forp);

        if (r < 0)
            return r;
        has_unknown |= r == SUBJECT_E_UNKNOWN;
    }
    *is_in_doubtp = !*is_forp && has_unknown && rule->action == POLICY_DENY;
    *is_forp |= *is_in_doubtp;
    return 0;
}

/* True if nothing behind @rule is ever tried for those whom it is for. */
bool rule_denies_everything(const struct policy_rule *rule) {
    return rule->action == POLICY_DENY && rule->n_patterns == 0;
}

/*
 * Selects the rules of @policy that are for @subject. This is where names of users and groups are
 * looked up, and only those that stand before the first rule that denies the subject everything: no
 * rule behind it is ever tried. Afterwards deciding needs neither memory nor system calls.
 *
 * Returns 0; -ENOMEM; another negative errno if a database did not answer, with *@failedp (written
 * on error only, else NULL) the rule that asked. @policy must outlive @selection.
 */
int selection_init(struct selection *selection, const struct policy *policy,
                   struct subject *subject, const struct policy_rule **failedp) {
    CLEANUP_SELECTION struct selection selected = {.policy = policy};

    *failedp = NULL;
    selected.rules = calloc(policy->n_rules + 1, sizeof(*selected.rules));
    if (selected.rules == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < policy->n_rules; i++) {
        const struct policy_rule *rule = &policy->rules[i];
        bool is_for, is_in_doubt;
        int r = rule_is_for(policy, rule, subject, &is_for, &is_in_doubt);

        if (r < 0) {
            *failedp = rule;
            return r;
        }
        if (!is_for)
            continue;
        selected.rules[selected.n_rules++] =
            (struct selected_rule){.rule = rule, .is_in_doubt = is_in_doubt};
        selected.has_setuid |= rule->is_setuid;
        if (rule_denies_everything(rule))
            break;
    }
    *selection = selected;
    selected = (struct selection)SELECTION_NULL;
    return 0;
}

/* Frees what @selection holds, not the policy; it is empty afterwards. */
void selection_deinit(struct selection *selection) {
    free(selection->rules);
    *selection = (struct selection)SELECTION_NULL;
}

/*
 * True if a pattern of @rule for names of @kind matches @name.
 * A wildcard of a permit rule never matches a name that is not RFC 1123: such a name must be
 * spelled out to be given. A wildcard of a deny rule matches every name: what is in doubt is
 * refused.
 */
bool rule_matches_name(const struct policy *policy, const struct policy_rule *rule,
                       enum policy_name_kind kind, const char *name) {
    bool wildcards_count = rule->action == POLICY_DENY || name_is_rfc1123(name);

    for (size_t i = 0; i < rule->n_patterns; i++) {
        const struct policy_pattern *pattern = &policy->patterns[rule->first_pattern + i];

        if (pattern->kind == kind && (wildcards_count || !pattern->is_wildcard) &&
            pattern_matches(pattern->text, name))
            return true;
    }
    return false;
}

/* True if @rule decides. A permit rule must match every name that is asked for; a deny rule, any.
 */
bool rule_matches(const struct policy *policy, const struct policy_rule *rule, const char *hostname,
                  const char *domainname) {
    bool host = hostname != NULL && rule_matches_name(policy, rule, POLICY_HOSTNAME, hostname);
    bool domain =
        domainname != NULL && rule_matches_name(policy, rule, POLICY_DOMAINNAME, domainname);

    if (rule->action == POLICY_DENY)
        return host || domain || rule_denies_everything(rule);
    return (hostname == NULL || host) && (domainname == NULL || domain);
}

static const struct selected_rule *first_match(const struct selection *selection,
                                               const char *hostname, const char *domainname) {
    for (size_t i = 0; i < selection->n_rules; i++)
        if (rule_matches(selection->policy, selection->rules[i].rule, hostname, domainname))
            return &selection->rules[i];
    return NULL;
}

static bool is_permitted(const struct selection *selection, const char *hostname,
                         const char *domainname) {
    const struct selected_rule *match = first_match(selection, hostname, domainname);

    return match != NULL && match->rule->action == POLICY_PERMIT;
}

/* Which names are to blame: those that would not be given alone; if each would be, both. */
static unsigned names_not_permitted(const struct selection *selection, const char *hostname,
                                    const char *domainname) {
    unsigned asked = (hostname != NULL ? DECISION_HOSTNAME : 0U) |
                     (domainname != NULL ? DECISION_DOMAINNAME : 0U);
    unsigned names = 0;

    if (hostname != NULL && !is_permitted(selection, hostname, NULL))
        names |= DECISION_HOSTNAME;
    if (domainname != NULL && !is_permitted(selection, NULL, domainname))
        names |= DECISION_DOMAINNAME;
    return names != 0 ? names : asked;
}

/* The names of the set @names for which @is_good is false. */
static unsigned names_that_are_not(bool (*is_good)(const char *name), unsigned names,
                                   const char *hostname, const char *domainname) {
    unsigned bad = 0;

    if ((names & DECISION_HOSTNAME) != 0 && hostname != NULL && !is_good(hostname))
        bad |= DECISION_HOSTNAME;
    if ((names & DECISION_DOMAINNAME) != 0 && domainname != NULL && !is_good(domainname))
        bad |= DECISION_DOMAINNAME;
    return bad;
}

/*
 * Decides whether the subject may have @hostname and @domainname (NULL: not asked for; at least one
 * is). The first rule that matches decides; if none does, it is denied. A name that is not RFC 1123
 * and that no rule spells out is a bad name. A pure function: no memory, no system calls.
 */
struct decision selection_decide(const struct selection *selection, const char *hostname,
                                 const char *domainname) {
    unsigned unprintable = names_that_are_not(
        name_is_printable, DECISION_HOSTNAME | DECISION_DOMAINNAME, hostname, domainname);
    struct decision decision = {.verdict = DECISION_DENIED};
    const struct selected_rule *match;

    if (unprintable != 0)
        return (struct decision){.verdict = DECISION_BAD_NAME, .names = unprintable};
    match = first_match(selection, hostname, domainname);
    if (match != NULL) {
        decision.rule = match->rule;
        decision.is_in_doubt = match->is_in_doubt;
    }
    if (decision.rule != NULL && decision.rule->action == POLICY_PERMIT) {
        decision.verdict = DECISION_PERMITTED;
        return decision;
    }
    decision.names = names_not_permitted(selection, hostname, domainname);
    if (decision.rule == NULL) {
        unsigned bad = names_that_are_not(name_is_rfc1123, decision.names, hostname, domainname);

        if (bad != 0)
            return (struct decision){.verdict = DECISION_BAD_NAME, .names = bad};
    }
    return decision;
}
