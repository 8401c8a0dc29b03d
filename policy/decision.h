#pragma once

/* Which rules apply to a subject, and whether they permit the names that it asks for. */

#include <stdbool.h>
#include <stddef.h>

#include "policy/rules.h"
#include "policy/subject.h"

/* A rule that applies to the subject; @is_in_doubt: a deny rule with an unknown user or group. */
struct selected_rule {
    const struct policy_rule *rule;
    bool is_in_doubt;
};

/* The rules of a policy that apply to one subject, in order. Points into the policy. */
struct selection {
    const struct policy *policy;
    struct selected_rule *rules;
    size_t n_rules;
    bool has_setuid; /* one of them has setuid */
};

#define SELECTION_NULL                                                                             \
    { 0 }

enum decision_verdict { DECISION_PERMITTED, DECISION_DENIED, DECISION_BAD_NAME };

enum {
    DECISION_HOSTNAME = 1U << 0,
    DECISION_DOMAINNAME = 1U << 1,
};

struct decision {
    enum decision_verdict verdict;
    const struct policy_rule *rule; /* the rule that decided; NULL if none matched */
    bool is_in_doubt;               /* as of selected_rule */
    unsigned names;                 /* if not permitted: the names that are refused, DECISION_* */
};

int rule_is_for(const struct policy *policy, const struct policy_rule *rule,
                struct subject *subject, bool *is_forp, bool *is_in_doubtp);
bool rule_denies_everything(const struct policy_rule *rule);
bool rule_matches_name(const struct policy *policy, const struct policy_rule *rule,
                       enum policy_name_kind kind, const char *name);
bool rule_matches(const struct policy *policy, const struct policy_rule *rule, const char *hostname,
                  const char *domainname);

int selection_init(struct selection *selection, const struct policy *policy,
                   struct subject *subject, const struct policy_rule **failedp);
void selection_deinit(struct selection *selection);
struct decision selection_decide(const struct selection *selection, const char *hostname,
                                 const char *domainname);

#define CLEANUP_SELECTION __attribute__((cleanup(selection_deinit)))
