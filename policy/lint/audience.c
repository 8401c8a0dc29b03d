#include "policy/lint/audience.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/decision.h"

static bool is_same_subject(const struct policy_subject *a, const struct policy_subject *b) {
    return a->kind == b->kind && a->is_id == b->is_id &&
           (a->is_id ? a->id == b->id : strcmp(a->name, b->name) == 0);
}

static bool is_decided(const struct audience *audience, const struct policy_subject *subject) {
    for (size_t i = 0; i < audience->n_decided; i++)
        if (is_same_subject(audience->decided[i], subject))
            return true;
    return false;
}

/* Adds the subjects of @rule for whom no earlier rule has decided. Returns 0 or -ENOMEM. */
static int add_subjects(struct audience *audience, const struct policy_rule *rule) {
    size_t room = audience->n_decided + rule->n_subjects;

    if (room > audience->room) {
        const struct policy_subject **decided;

        room *= 2;
        decided = reallocarray(audience->decided, room, sizeof(const struct policy_subject *));
        if (decided == NULL)
            return -ENOMEM;
        audience->decided = decided;
        audience->room = room;
    }
    for (size_t i = 0; i < rule->n_subjects; i++) {
        const struct policy_subject *subject = &audience->policy->subjects[rule->first_subject + i];

        if (!is_decided(audience, subject))
            audience->decided[audience->n_decided++] = subject;
    }
    return 0;
}

/*
 * Sets *@rulep to the next rule that decides the request for somebody, or to NULL. Its subjects, as
 * far as no earlier rule has decided for them, are @decided from @n_before on; a rule for any has
 * none there, and is the last one. Returns 0 or -ENOMEM.
 */
int audience_next(struct audience *audience, const struct policy_rule **rulep) {
    const struct policy *policy = audience->policy;

    *rulep = NULL;
    while (!audience->is_everybody_decided && audience->next < policy->n_rules) {
        const struct policy_rule *rule = &policy->rules[audience->next++];
        int r;

        if (!rule_matches(policy, rule, audience->hostname, audience->domainname))
            continue;
        audience->n_before = audience->n_decided;
        audience->is_everybody_decided = rule->is_any;
        r = add_subjects(audience, rule);
        if (r < 0)
            return r;
        if (rule->is_any || audience->n_decided > audience->n_before) {
            *rulep = rule;
            return 0;
        }
    }
    return 0;
}

/* Frees what @audience holds; afterwards it is empty. */
void audience_deinit(struct audience *audience) {
    free((void *)audience->decided);
    *audience = (struct audience){.policy = NULL};
}

/* Sets *@is_permittedp if a rule permits the request to somebody. Returns 0 or -ENOMEM. */
int audience_has_permitted(const struct policy *policy, const char *hostname,
                           const char *domainname, bool *is_permittedp) {
    CLEANUP_AUDIENCE struct audience audience = {
        .policy = policy, .hostname = hostname, .domainname = domainname};
    const struct policy_rule *rule;
    int r;

    do {
        r = audience_next(&audience, &rule);
    } while (r == 0 && rule != NULL && rule->action == POLICY_DENY);
    if (r == 0)
        *is_permittedp = rule != NULL;
    return r;
}
