#include "policy/lint/dotted-deny.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/lint/pattern-index.h"
#include "policy/lint/people.h"
#include "policy/lint/subsumption.h"
#include "policy/name-pattern.h"
#include "utsbroker/base.h"

/*
 * Many programs look at the first label of a host name only. `deny any hostname licence1` denies
 * the host in every domain, but `deny any hostname licence1.corp.example` denies neither licence1
 * nor licence1.test. That is a mistake if a rule permits one of those names to somebody whom the
 * deny rule is for, and no rule denies the host in every domain. Root is not warned of.
 */

struct search {
    const struct policy *policy;
    const struct policy_rule *const *unreachable_by;
    struct pattern_index for_any, for_some; /* permit rules */
    struct pattern_index labels;            /* deny patterns that match first labels, too */
    struct people people;
    const struct policy_rule *deny; /* the rule that is checked */
    const struct policy_pattern *denied;
    char label[SUBSUMPTION_LABEL_MAX + 1]; /* the pattern's first label */
    char names[SUBSUMPTION_LABEL_MAX + sizeof(".*")];
    const struct policy_pattern *permitted; /* NULL: nothing was found */
    size_t number;                          /* of its rule */
    ssize_t permit_subject, deny_subject;
    unsigned patience; /* how many more are looked at */
};

static void search_deinit(struct search *search) {
    pattern_index_deinit(&search->for_any);
    pattern_index_deinit(&search->for_some);
    pattern_index_deinit(&search->labels);
    people_deinit(&search->people);
}

#define CLEANUP_SEARCH __attribute__((cleanup(search_deinit)))

/* Returns the length of the first label of @pattern, which may be the whole of it. */
static size_t get_label_length(const char *pattern) {
    const char *at = pattern;

    while (*at != '\0' && *at != '.')
        at = pattern_skip_element(at);
    return (size_t)(at - pattern);
}

/* True if the label names hosts: `*` and `?` alone could be any. */
static bool label_names_hosts(const char *label) {
    for (; *label != '\0'; label = pattern_skip_element(label))
        if (name_char_is_alphanumeric(*label))
            return true;
    return false;
}

static size_t count_subjects(const struct policy_rule *rule) {
    return rule->is_any ? 1 : rule->n_subjects;
}

static ssize_t get_subject(const struct policy_rule *rule, size_t i) {
    return rule->is_any ? PEOPLE_ANYBODY : (ssize_t)(rule->first_subject + i);
}

/* True if @rule is for all whom @subject, or a group that it is known to be in, names. */
static bool is_for_all_of(struct search *search, const struct policy_rule *rule, ssize_t subject) {
    for (size_t i = 0; i < count_subjects(rule); i++) {
        ssize_t other = get_subject(rule, i);

        if (other == PEOPLE_ANYBODY)
            return true;
        if (subject != PEOPLE_ANYBODY &&
            (search->people.numbers[other] == search->people.numbers[subject] ||
             (people_are_fewer(search->policy, subject, other) &&
              people_compare(&search->people, subject, other) == PEOPLE_SHARED)))
            return true;
    }
    return false;
}

/* True if a rule denies the host in every domain to one of the two subjects that were found. */
static bool is_host_denied(struct search *search, ssize_t permit_subject, ssize_t deny_subject) {
    struct pattern_index_result result;

    pattern_index_find(&search->labels, POLICY_HOSTNAME, search->label, &result);
    for (size_t i = 0; i < result.n_parts; i++)
        for (size_t j = 0; j < result.parts[i].n; j++) {
            const struct pattern_index_entry *entry = &result.parts[i].entries[j];
            const struct policy_rule *rule = &search->policy->rules[entry->rule];

            if (pattern_index_can_meet(&result, entry) &&
                subsumption_of_pattern(entry->pattern->text, search->label) &&
                (is_for_all_of(search, rule, permit_subject) ||
                 is_for_all_of(search, rule, deny_subject)))
                return true;
        }
    return false;
}

/* Looks for people whom both the deny rule and the permit rule @number are for. */
static void consider_people(struct search *search, size_t number,
                            const struct policy_pattern *permitted) {
    const struct policy *policy = search->policy;
    const struct policy_rule *permit = &policy->rules[number];

    for (size_t i = 0; i < count_subjects(permit); i++)
        for (size_t j = 0; j < count_subjects(search->deny); j++) {
            ssize_t a = get_subject(permit, i), b = get_subject(search->deny, j);

            if (people_is_root(policy, a) ||
                people_compare(&search->people, a, b) != PEOPLE_SHARED ||
                is_host_denied(search, a, b))
                continue;
            search->permitted = permitted;
            search->number = number;
            search->permit_subject = a;
            search->deny_subject = b;
            return;
        }
}

/* Considers the permit rules of @permits that permit a name of @names. */
static void consider_names(struct search *search, const struct pattern_index *permits,
                           const char *names) {
    struct policy_pattern other = {.kind = POLICY_HOSTNAME, .text = names};
    struct pattern_index_result result;

    if (subsumption_of_pattern(search->denied->text, names))
        return;
    pattern_index_find(permits, POLICY_HOSTNAME, names, &result);
    for (size_t i = 0; i < result.n_parts; i++)
        for (size_t j = 0; j < result.parts[i].n && search->patience > 0; j++) {
            const struct pattern_index_entry *entry = &result.parts[i].entries[j];

            if (entry->rule >= search->number || search->unreachable_by[entry->rule] != NULL ||
                !pattern_index_can_meet(&result, entry) ||
                !subsumption_can_meet(entry->pattern, &other) ||
                subsumption_of_pattern(search->denied->text, entry->pattern->text))
                continue;
            search->patience--;
            consider_people(search, entry->rule, entry->pattern);
        }
}

static void report_pattern(struct search *search, dotted_deny_report report, void *context) {
    const struct policy_pattern *denied = search->denied;
    const struct policy_rule *permit = &search->policy->rules[search->number];
    struct dotted_deny found = {
        .rule = search->deny, .line = denied->line, .column = denied->column};
    char people[112];

    people_describe(&search->people, search->permit_subject, search->deny_subject, people,
                    sizeof(people));
    (void)snprintf(found.message, sizeof(found.message),
                   "%s denies only some names of the host: %s at %s:%u permits others to %s; to "
                   "deny the host in every domain, write %.*s",
                   denied->written, search->permitted->written, permit->file, permit->line, people,
                   (int)get_label_length(denied->written), denied->written);
    report(context, &found);
}

/* True if @pattern, of a deny rule, is for a host in some domains only. */
static bool is_dotted(const struct policy_pattern *pattern) {
    size_t length = get_label_length(pattern->text);

    return pattern->kind == POLICY_HOSTNAME && !pattern->is_set && pattern->text[length] == '.' &&
           length <= SUBSUMPTION_LABEL_MAX;
}

/* Looks for a rule that permits other names of the host that @denied, of the deny rule, denies. */
static void check_pattern(struct search *search, const struct policy_pattern *denied) {
    enum { PATIENCE = 64 };
    size_t length = get_label_length(denied->text);

    search->denied = denied;
    search->patience = PATIENCE;
    memcpy(search->label, denied->text, length);
    search->label[length] = '\0';
    memcpy(search->names, search->label, length);
    memcpy(search->names + length, ".*", sizeof(".*"));
    if (!label_names_hosts(search->label))
        return;
    consider_names(search, &search->for_any, search->label);
    consider_names(search, &search->for_any, search->names);
    consider_names(search, &search->for_some, search->label);
    consider_names(search, &search->for_some, search->names);
}

/* Looks for the earliest rule that permits other names of a host that the deny rule denies. */
static void check_rule(struct search *search, const struct policy_rule *deny,
                       dotted_deny_report report, void *context) {
    search->deny = deny;
    search->permitted = NULL;
    search->number = SIZE_MAX;
    for (size_t i = 0; i < deny->n_patterns && search->permitted == NULL; i++) {
        const struct policy_pattern *denied = &search->policy->patterns[deny->first_pattern + i];

        if (is_dotted(denied))
            check_pattern(search, denied);
    }
    if (search->permitted != NULL)
        report_pattern(search, report, context);
}

/* True if the policy has a rule to check: most have none, and need no index. */
static bool has_dotted(const struct policy *policy) {
    for (size_t i = 0; i < policy->n_rules; i++)
        for (size_t j = 0;
             policy->rules[i].action == POLICY_DENY && j < policy->rules[i].n_patterns; j++)
            if (is_dotted(&policy->patterns[policy->rules[i].first_pattern + j]))
                return true;
    return false;
}

static bool is_label(const struct policy_rule *rule, const struct policy_pattern *pattern) {
    (void)rule;
    return pattern->matches_label && !pattern->is_set;
}

/*
 * Reports each deny rule of @policy that denies a host in some domains only, with the
 * earliest rule that permits another name of the host. @unreachable_by says which rules are never
 * reached. @asks_databases: this machine knows who is in which group. Returns 0 or -ENOMEM.
 */
int dotted_deny_find_all(const struct policy *policy,
                         const struct policy_rule *const *unreachable_by, bool asks_databases,
                         dotted_deny_report report, void *context) {
    CLEANUP_SEARCH struct search search = {.policy = policy, .unreachable_by = unreachable_by};
    int r;

    if (!has_dotted(policy))
        return 0;
    r = people_init(&search.people, policy, asks_databases);
    if (r == 0)
        r = pattern_index_init(&search.labels, policy, is_label);
    if (r == 0)
        r = pattern_index_init(&search.for_any, policy, pattern_index_is_for_any);
    if (r == 0)
        r = pattern_index_init(&search.for_some, policy, pattern_index_is_for_some);
    for (size_t i = 0; r == 0 && i < policy->n_rules; i++)
        if (policy->rules[i].action == POLICY_DENY && unreachable_by[i] == NULL)
            check_rule(&search, &policy->rules[i], report, context);
    return r;
}
