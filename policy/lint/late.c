#include "policy/lint/late.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/decision.h"
#include "policy/lint/contradiction.h"
#include "policy/lint/pattern-index.h"
#include "policy/lint/people.h"
#include "policy/lint/subsumption.h"
#include "policy/name-pattern.h"
#include "utsbroker/base.h"

/*
 * A deny rule is late for somebody if an earlier permit rule that applies to them, too, permits a
 * name that it denies, and no rule before that one denies them the name.
 *
 * An exception is no mistake: `permit user alice hostname web1` before `deny any hostname web*`.
 * The permit rule's pattern matches only names that the deny rule denies, and it matches fewer of
 * them or is for fewer people. A deny rule without patterns is a ban: only a permit rule for more
 * people than it bans makes it late. Root is not warned of: it needs no permission.
 */

/* An earlier permit rule that makes a deny rule late, and for whom. */
struct culprit {
    size_t number;                                   /* of the permit rule; SIZE_MAX: none */
    const struct policy_pattern *permitted, *denied; /* @denied is NULL for a ban */
    ssize_t permit_subject, deny_subject;            /* numbers, or PEOPLE_ANYBODY */
};

struct search {
    const struct policy *policy;
    const struct unreachable_index *index;
    const struct policy_rule *const *unreachable_by;
    struct pattern_index for_any, for_some; /* permit rules */
    struct people people;
    const struct policy_rule *deny; /* the rule that is checked */
    size_t number;                  /* its number */
    struct culprit certain, maybe;  /* the earliest that were found */
    unsigned patience;              /* how many more are looked at once one is found */
    ssize_t *denied_groups;         /* the numbers of the groups in deny rules, each once */
    size_t n_denied_groups;
};

static void search_deinit(struct search *search) {
    pattern_index_deinit(&search->for_any);
    pattern_index_deinit(&search->for_some);
    people_deinit(&search->people);
    free(search->denied_groups);
}

#define CLEANUP_SEARCH __attribute__((cleanup(search_deinit)))

/* The number of times that get_subject() finds something. */
static size_t count_subjects(const struct policy_rule *rule) {
    return rule->is_any ? 1 : rule->n_subjects;
}

static ssize_t get_subject(const struct policy_rule *rule, size_t i) {
    return rule->is_any ? PEOPLE_ANYBODY : (ssize_t)(rule->first_subject + i);
}

/*
 * True if a rule before number @before decides, for this subject, what @action with @pattern (NULL:
 * no pattern) would.
 */
static bool is_decided_before(const struct search *search, size_t before, ssize_t subject,
                              enum policy_action action, const struct policy_pattern *pattern) {
    struct policy_rule rule = {.action = action, .is_any = subject == PEOPLE_ANYBODY};

    if (subject != PEOPLE_ANYBODY) {
        rule.first_subject = (size_t)subject;
        rule.n_subjects = 1;
    }
    if (pattern != NULL) {
        rule.first_pattern = (size_t)(pattern - search->policy->patterns);
        rule.n_patterns = 1;
    }
    return unreachable_index_find(search->index, &rule, before) != NULL;
}

static bool is_settled_for(const struct search *search, const struct culprit *culprit,
                           ssize_t subject) {
    return is_decided_before(search, culprit->number, subject, POLICY_DENY, culprit->denied) ||
           is_decided_before(search, culprit->number, subject, POLICY_PERMIT, culprit->permitted);
}

/* True if a deny rule for a group of the user @subject settles it. */
static bool is_settled_for_group_of(struct search *search, const struct culprit *culprit,
                                    ssize_t subject) {
    const struct policy_subject *subjects = search->policy->subjects;

    if (subject == PEOPLE_ANYBODY || subjects[subject].kind == POLICY_GROUP)
        return false;
    for (size_t i = 0; i < search->n_denied_groups; i++)
        if (people_compare(&search->people, subject, search->denied_groups[i]) == PEOPLE_SHARED &&
            is_settled_for(search, culprit, search->denied_groups[i]))
            return true;
    return false;
}

/* True if an earlier rule decides the matter before the permit rule of @culprit can. */
static bool is_settled(struct search *search, const struct culprit *culprit) {
    return is_settled_for(search, culprit, culprit->permit_subject) ||
           is_settled_for(search, culprit, culprit->deny_subject) ||
           is_settled_for_group_of(search, culprit, culprit->permit_subject) ||
           is_settled_for_group_of(search, culprit, culprit->deny_subject);
}

static void consider_subjects(struct search *search, const struct culprit *culprit) {
    enum people_overlap overlap =
        people_compare(&search->people, culprit->permit_subject, culprit->deny_subject);
    struct culprit *found = overlap == PEOPLE_SHARED ? &search->certain : &search->maybe;

    if (overlap != PEOPLE_APART && culprit->number < found->number && !is_settled(search, culprit))
        *found = *culprit;
}

/*
 * Looks for the people in common of the deny rule and the permit rule of @culprit. @spares_fewer: a
 * permit rule for fewer people is an exception.
 */
static void consider_people(struct search *search, struct culprit *culprit, bool spares_fewer) {
    const struct policy *policy = search->policy;
    const struct policy_rule *permit = &policy->rules[culprit->number];

    for (size_t i = 0; i < count_subjects(permit); i++)
        for (size_t j = 0; j < count_subjects(search->deny); j++) {
            ssize_t a = get_subject(permit, i), b = get_subject(search->deny, j);

            culprit->permit_subject = a;
            culprit->deny_subject = b;
            if ((people_is_root(policy, a) && !people_is_root(policy, b)) ||
                (spares_fewer && people_are_fewer(policy, a, b)) ||
                (culprit->denied == NULL && !people_are_fewer(policy, b, a)))
                continue;
            consider_subjects(search, culprit);
            if (search->certain.number == culprit->number)
                return;
        }
}

/* True if both rules are for one user each, and not the same one: quicker than their patterns. */
static bool are_other_users(struct search *search, const struct policy_rule *permit) {
    const struct policy_subject *subjects = search->policy->subjects;
    size_t a = permit->first_subject, b = search->deny->first_subject;

    return permit->n_subjects == 1 && search->deny->n_subjects == 1 &&
           subjects[a].kind == POLICY_USER && subjects[b].kind == POLICY_USER &&
           people_compare(&search->people, (ssize_t)a, (ssize_t)b) == PEOPLE_APART;
}

/*
 * True if the permit rule with this number cannot be the culprit that is reported. Once there is
 * one, the search for one that is certain or earlier is not endless.
 */
static bool is_out_of_question(struct search *search, size_t number) {
    if (number >= search->number || number >= search->certain.number ||
        search->unreachable_by[number] != NULL || search->patience == 0 ||
        are_other_users(search, &search->policy->rules[number]))
        return true;
    search->patience -= search->maybe.number != SIZE_MAX || search->certain.number != SIZE_MAX;
    return false;
}

/* Compares the pattern @permitted of the permit rule @number with @denied of the deny rule. */
static void consider_pattern(struct search *search, size_t number,
                             const struct policy_pattern *permitted,
                             const struct policy_pattern *denied) {
    struct culprit culprit = {.number = number, .permitted = permitted, .denied = denied};
    bool is_covered = false, is_as_wide = false;

    if (is_out_of_question(search, number) || !subsumption_can_meet(permitted, denied))
        return;
    for (size_t i = 0; i < search->deny->n_patterns; i++) {
        const struct policy_pattern *any =
            &search->policy->patterns[search->deny->first_pattern + i];

        if (any->kind != permitted->kind)
            continue;
        is_covered = is_covered || subsumption_with_label(any, permitted);
        is_as_wide = is_as_wide || subsumption_of_pattern(permitted->text, any->text);
    }
    if (!is_covered || is_as_wide)
        consider_people(search, &culprit, is_covered);
}

static void consider_result(struct search *search, const struct pattern_index_result *result,
                            const struct policy_pattern *denied) {
    for (size_t i = 0; i < result->n_parts; i++)
        for (size_t j = 0; j < result->parts[i].n; j++) {
            const struct pattern_index_entry *entry = &result->parts[i].entries[j];

            if (result->parts[i].is_by_rule &&
                (entry->rule >= search->number || entry->rule >= search->certain.number))
                break;
            if (pattern_index_can_meet(result, entry))
                consider_pattern(search, entry->rule, entry->pattern, denied);
        }
}

/* Looks for permit rules of @permits with a pattern that matches a name that @denied denies. */
static int find_culprits_of_pattern(struct search *search, const struct pattern_index *permits,
                                    const struct policy_pattern *denied) {
    struct pattern_index_result result;
    CLEANUP_FREE char *in_domains = NULL;

    pattern_index_find(permits, denied->kind, denied->text, &result);
    consider_result(search, &result, denied);
    if (!denied->matches_label)
        return 0;
    if (asprintf(&in_domains, "%s.*", denied->text) < 0) {
        in_domains = NULL;
        return -ENOMEM;
    }
    pattern_index_find(permits, denied->kind, in_domains, &result);
    consider_result(search, &result, denied);
    return 0;
}

static int find_culprits(struct search *search, const struct pattern_index *permits) {
    const struct policy_rule *deny = search->deny;
    int r = 0;

    for (size_t i = 0; r == 0 && i < deny->n_patterns && search->certain.number > 0; i++) {
        const struct policy_pattern *denied = &search->policy->patterns[deny->first_pattern + i];

        /* Nobody means a range as a set; the rule denies it to be safe. */
        if (!denied->is_set)
            r = find_culprits_of_pattern(search, permits, denied);
    }
    return r;
}

/* Looks for permit rules for more people than the deny rule, which has no patterns, bans. */
static void find_culprits_of_ban(struct search *search) {
    const struct policy *policy = search->policy;
    char invalid;

    for (size_t i = 0; i < search->number && i < search->certain.number; i++) {
        const struct policy_rule *permit = &policy->rules[i];

        if (permit->action == POLICY_DENY || is_out_of_question(search, i))
            continue;
        for (size_t j = 0; j < permit->n_patterns && i < search->certain.number; j++) {
            struct culprit culprit = {.number = i,
                                      .permitted = &policy->patterns[permit->first_pattern + j]};

            if (!culprit.permitted->is_wildcard ||
                contradiction_find(culprit.permitted->text, &invalid) == NULL)
                consider_people(search, &culprit, false);
        }
    }
}

static void report_culprit(struct search *search, bool is_certain, late_report report,
                           void *context) {
    const struct culprit *culprit = is_certain ? &search->certain : &search->maybe;
    const struct policy_rule *permit = &search->policy->rules[culprit->number];
    const struct policy_pattern *denied = culprit->denied;
    const char *what = denied == NULL ? "this rule" : denied->written;
    const char *permits =
        denied == NULL ? "names"
        : denied->is_wildcard || !pattern_matches(culprit->permitted->text, denied->text)
            ? "some of these names"
            : "this name";
    struct late late = {.rule = search->deny,
                        .line = denied == NULL ? search->deny->line : denied->line,
                        .column = denied == NULL ? search->deny->column : denied->column};
    char people[112];

    people_describe(&search->people, culprit->permit_subject, culprit->deny_subject, people,
                    sizeof(people));
    (void)snprintf(late.message, sizeof(late.message),
                   "%s %s too late for %s: %s at %s:%u permits %s, and the first rule that matches "
                   "decides; put the deny rule above it",
                   what, is_certain ? "comes" : "may come", people, culprit->permitted->written,
                   permit->file, permit->line, permits);
    report(context, &late);
}

static int find_denied_groups(struct search *search) {
    const struct policy *policy = search->policy;
    CLEANUP_FREE bool *is_listed = calloc(policy->n_subjects + 1, sizeof(*is_listed));

    search->denied_groups = calloc(policy->n_subjects + 1, sizeof(*search->denied_groups));
    if (is_listed == NULL || search->denied_groups == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < policy->n_rules; i++)
        for (size_t j = 0; j < policy->rules[i].n_subjects; j++) {
            size_t number = policy->rules[i].first_subject + j;
            size_t entry = search->people.numbers[number];

            if (policy->rules[i].action == POLICY_PERMIT || is_listed[entry] ||
                policy->subjects[number].kind == POLICY_USER)
                continue;
            is_listed[entry] = true;
            search->denied_groups[search->n_denied_groups++] = (ssize_t)number;
        }
    return 0;
}

/* Checks the deny rule with this number. Returns 0 or -ENOMEM. */
static int check_rule(struct search *search, size_t number, late_report report, void *context) {
    enum { PATIENCE = 64 };

    search->deny = &search->policy->rules[number];
    search->number = number;
    search->certain = search->maybe = (struct culprit){.number = SIZE_MAX};
    search->patience = PATIENCE;
    if (rule_denies_everything(search->deny))
        find_culprits_of_ban(search);
    /* First what is certain: then fewer of the others need a look. */
    if (find_culprits(search, &search->for_any) < 0 || find_culprits(search, &search->for_some) < 0)
        return -ENOMEM;
    if (search->certain.number != SIZE_MAX || search->maybe.number != SIZE_MAX)
        report_culprit(search, search->certain.number != SIZE_MAX, report, context);
    return 0;
}

/*
 * Reports each deny rule of the policy of @index that comes too late for somebody, with the
 * earliest rule that is the reason. A rule that is unreachable, as @unreachable_by says, is not
 * reported.
 * @asks_databases: this machine knows who is in which group; else what depends on it is reported as
 * possible. Returns 0 or -ENOMEM.
 */
int late_find_all(const struct unreachable_index *index,
                  const struct policy_rule *const *unreachable_by, bool asks_databases,
                  late_report report, void *context) {
    const struct policy *policy = index->policy;
    CLEANUP_SEARCH struct search search = {
        .policy = policy, .index = index, .unreachable_by = unreachable_by};
    int r = people_init(&search.people, policy, asks_databases);

    if (r == 0)
        r = find_denied_groups(&search);
    if (r == 0)
        r = pattern_index_init(&search.for_any, policy, pattern_index_is_for_any);
    if (r == 0)
        r = pattern_index_init(&search.for_some, policy, pattern_index_is_for_some);
    for (size_t i = 0; r == 0 && i < policy->n_rules; i++)
        if (policy->rules[i].action == POLICY_DENY && unreachable_by[i] == NULL)
            r = check_rule(&search, i, report, context);
    return r;
}
