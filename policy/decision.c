#include "policy/decision.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/name-pattern.h"
#include "utsbroker/base.h"

/*
 * Sets *@is_forp if @rule applies to @subject. If no database knows a name in a deny rule, the rule
 * applies to everybody, and *@is_in_doubtp is set: the database may only be unavailable, and the
 * user whom the rule names must not get around it. A permit rule ignores a name that nobody knows.
 * Returns 0, or a negative errno if a database did not answer.
 */
int rule_is_for(const struct policy *policy, const struct policy_rule *rule,
                struct subject *subject, bool *is_forp, bool *is_in_doubtp) {
    bool has_unknown = false;

    *is_forp = rule->is_any;
    for (size_t i = 0; i < rule->n_subjects && !*is_forp; i++) {
        const struct policy_subject *named = &policy->subjects[rule->first_subject + i];
        int r = subject_matches(subject, named, is_forp);

        if (r < 0)
            return r;
        has_unknown |= r == SUBJECT_E_UNKNOWN;
    }
    *is_in_doubtp = !*is_forp && has_unknown && rule->action == POLICY_DENY;
    *is_forp |= *is_in_doubtp;
    return 0;
}

/* True if no later rule is ever tried for the subjects of @rule. */
bool rule_denies_everything(const struct policy_rule *rule) {
    return rule->action == POLICY_DENY && rule->n_patterns == 0;
}

/*
 * Selects the rules of @policy that apply to @subject. Here the names of users and groups are
 * looked up, but only up to the first rule that denies the subject everything, as no later rule is
 * ever tried. Deciding then needs neither memory nor system calls.
 *
 * Returns 0; -ENOMEM; another negative errno if a database did not answer, with *@failedp the rule
 * that was looked up (NULL in all other cases). @policy must live longer than @selection.
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

/* Frees what @selection holds, but not the policy; afterwards it is empty. */
void selection_deinit(struct selection *selection) {
    free(selection->rules);
    *selection = (struct selection)SELECTION_NULL;
}

/* A name that is requested, and what patterns are compared with first, as most do not match. */
struct requested_name {
    const char *text; /* NULL: not requested */
    bool is_rfc1123, has_dot;
    char first, last, label_last; /* bytes of the name, and of its first label, in lower case */
};

/* @text may be NULL: not requested. */
static struct requested_name name_look_at(const char *text) {
    struct requested_name name = {.text = text};
    size_t length, label;

    if (text == NULL)
        return name;
    length = strlen(text);
    label = strcspn(text, ".");
    name.is_rfc1123 = name_is_rfc1123(text);
    name.has_dot = label < length;
    name.first = name_char_to_lower(text[0]);
    name.last = length > 0 ? name_char_to_lower(text[length - 1]) : '\0';
    name.label_last = label > 0 ? name_char_to_lower(text[label - 1]) : '\0';
    return name;
}

/*
 * True if @pattern matches @name. A host name pattern without a dot in a deny rule denies the host
 * in every domain, so it also matches the name's first label.
 */
static bool pattern_matches_requested(const struct policy_pattern *pattern,
                                      const struct requested_name *name) {
    if (pattern->first != '\0' && pattern->first != name->first)
        return false;
    if (pattern->matches_label && name->has_dot &&
        (pattern->last == '\0' || pattern->last == name->label_last) &&
        pattern_matches_first_label(pattern->text, name->text))
        return true;
    return (pattern->last == '\0' || pattern->last == name->last) &&
           pattern_matches(pattern->text, name->text);
}

static bool matches_name(const struct policy *policy, const struct policy_rule *rule,
                         enum policy_name_kind kind, const struct requested_name *name) {
    bool wildcards_count = rule->action == POLICY_DENY || name->is_rfc1123;

    for (size_t i = 0; i < rule->n_patterns; i++) {
        const struct policy_pattern *pattern = &policy->patterns[rule->first_pattern + i];

        if (pattern->kind == kind && (wildcards_count || !pattern->is_wildcard) &&
            pattern_matches_requested(pattern, name))
            return true;
    }
    return false;
}

/*
 * True if a pattern of @rule for names of @kind matches @name. A wildcard in a permit rule matches
 * only valid host names (RFC 1123): any other name must be spelled out to be permitted. A wildcard
 * in a deny rule matches every name, as a name in doubt is refused.
 */
bool rule_matches_name(const struct policy *policy, const struct policy_rule *rule,
                       enum policy_name_kind kind, const char *name) {
    struct requested_name requested = name_look_at(name);

    return matches_name(policy, rule, kind, &requested);
}

static bool matches_request(const struct policy *policy, const struct policy_rule *rule,
                            const struct requested_name *hostname,
                            const struct requested_name *domainname) {
    bool host = hostname->text != NULL && matches_name(policy, rule, POLICY_HOSTNAME, hostname);
    bool domain =
        domainname->text != NULL && matches_name(policy, rule, POLICY_DOMAINNAME, domainname);

    if (rule->action == POLICY_DENY)
        return host || domain || rule_denies_everything(rule);
    return (hostname->text == NULL || host) && (domainname->text == NULL || domain);
}

/*
 * True if @rule decides a request for these names (NULL: not requested). A permit rule must match
 * all of them, a deny rule one of them or, without patterns, none.
 */
bool rule_matches(const struct policy *policy, const struct policy_rule *rule, const char *hostname,
                  const char *domainname) {
    struct requested_name host = name_look_at(hostname), domain = name_look_at(domainname);

    return matches_request(policy, rule, &host, &domain);
}

static const struct selected_rule *find_first_match(const struct selection *selection,
                                                    const char *hostname, const char *domainname) {
    struct requested_name host = name_look_at(hostname), domain = name_look_at(domainname);

    for (size_t i = 0; i < selection->n_rules; i++)
        if (matches_request(selection->policy, selection->rules[i].rule, &host, &domain))
            return &selection->rules[i];
    return NULL;
}

static bool is_permitted(const struct selection *selection, const char *hostname,
                         const char *domainname) {
    const struct selected_rule *match = find_first_match(selection, hostname, domainname);

    return match != NULL && match->rule->action == POLICY_PERMIT;
}

/* Returns the names that are not permitted alone. */
static unsigned find_refused_names(const struct selection *selection, const char *hostname,
                                   const char *domainname) {
    unsigned names = 0;

    if (hostname != NULL && !is_permitted(selection, hostname, NULL))
        names |= DECISION_HOSTNAME;
    if (domainname != NULL && !is_permitted(selection, NULL, domainname))
        names |= DECISION_DOMAINNAME;
    return names;
}

/* Returns those of @names for which @is_valid is false. */
static unsigned find_invalid_names(bool (*is_valid)(const char *name), unsigned names,
                                   const char *hostname, const char *domainname) {
    unsigned invalid = 0;

    if ((names & DECISION_HOSTNAME) != 0 && hostname != NULL && !is_valid(hostname))
        invalid |= DECISION_HOSTNAME;
    if ((names & DECISION_DOMAINNAME) != 0 && domainname != NULL && !is_valid(domainname))
        invalid |= DECISION_DOMAINNAME;
    return invalid;
}

/*
 * Decides whether the subject is permitted to use @hostname and @domainname (NULL: not requested;
 * at least one is). The first rule that matches decides; if none matches, the request is denied. A
 * name that is not a valid host name (RFC 1123) and that no rule spells out is a bad name. A pure
 * function: it allocates nothing and makes no system call.
 */
struct decision selection_decide(const struct selection *selection, const char *hostname,
                                 const char *domainname) {
    unsigned unprintable = find_invalid_names(
        name_is_printable, DECISION_HOSTNAME | DECISION_DOMAINNAME, hostname, domainname);
    struct decision decision = {.verdict = DECISION_DENIED};
    const struct selected_rule *match;

    if (unprintable != 0)
        return (struct decision){.verdict = DECISION_BAD_NAME, .names = unprintable};
    match = find_first_match(selection, hostname, domainname);
    if (match != NULL) {
        decision.rule = match->rule;
        decision.is_in_doubt = match->is_in_doubt;
    }
    if (decision.rule != NULL && decision.rule->action == POLICY_PERMIT) {
        decision.verdict = DECISION_PERMITTED;
        return decision;
    }
    decision.names = find_refused_names(selection, hostname, domainname);
    if (decision.rule == NULL) {
        unsigned invalid =
            find_invalid_names(name_is_rfc1123, decision.names, hostname, domainname);

        if (invalid != 0)
            return (struct decision){.verdict = DECISION_BAD_NAME, .names = invalid};
    }
    if (decision.names == 0) /* each is permitted alone, but no rule permits both */
        decision.names = DECISION_HOSTNAME | DECISION_DOMAINNAME;
    return decision;
}
