#include "policy/lint/warnings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/lint/subsumption.h"
#include "policy/decision.h"
#include "policy/lint/unreachable.h"
#include "policy/lint/contradiction.h"
#include "policy/syntax-hints.h"
#include "policy/name-pattern.h"
#include "policy/subject.h"
#include "utsbroker/base.h"

struct warner {
    const struct policy *policy;
    const struct policy_rule *rule; /* that is looked at */
    struct subject database;        /* nobody, whose lookups are kept */
    policy_report report;
    void *context;
};

__attribute__((format(printf, 5, 6))) static void warn(const struct warner *warner,
                                                       const char *kind, unsigned line,
                                                       unsigned column, const char *format, ...) {
    struct policy_error warning = {.severity = POLICY_WARNING,
                                   .kind = kind,
                                   .file = warner->rule->file,
                                   .line = line,
                                   .column = column};
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(warning.message, sizeof(warning.message), format, arguments);
    va_end(arguments);
    warner->report(warner->context, &warning);
}

static int subjects_look_at(struct warner *warner) {
    const struct policy_rule *rule = warner->rule;

    for (size_t i = 0; i < rule->n_subjects; i++) {
        const struct policy_subject *subject = &warner->policy->subjects[rule->first_subject + i];
        const char *what = subject->kind == POLICY_USER ? "user" : "group";
        uint32_t id;
        int r = subject->is_id
                    ? 0
                    : subject_find_id(&warner->database, subject->kind, subject->name, &id);

        if (r == -ENOMEM)
            return r;
        if (r < 0)
            warn(warner, "unknown", subject->line, subject->column,
                 "%s %s could not be looked up: %s", what, subject->name, strerror(-r));
        else if (r == SUBJECT_E_UNKNOWN)
            warn(warner, "unknown", subject->line, subject->column,
                 rule->action == POLICY_PERMIT
                     ? "no %s %s is known here: the rule means nobody by it"
                     : "no %s %s is known here: the rule means everybody by it",
                 what, subject->name);
    }
    return 0;
}

static void patterns_look_at(const struct warner *warner) {
    const struct policy_rule *rule = warner->rule;

    for (size_t i = 0; i < rule->n_patterns && rule->action == POLICY_PERMIT; i++) {
        const struct policy_pattern *pattern = &warner->policy->patterns[rule->first_pattern + i];
        char culprit = '\0';
        const char *why = pattern->is_wildcard ? contradiction_find(pattern->text, &culprit) : NULL;

        if (culprit != '\0')
            warn(
                warner, "no-match", pattern->line, pattern->column,
                "%s matches nothing: a wildcard stands for names of RFC 1123, and none of them has "
                "'%c'",
                pattern->text, culprit);
        else if (why != NULL)
            warn(warner, "no-match", pattern->line, pattern->column,
                 "%s matches nothing: a wildcard stands for names of RFC 1123, and it %s",
                 pattern->text, why);
    }
}

/* A name may be called so; more often a clause was meant. */
static void words_look_at(const struct warner *warner) {
    const struct policy_rule *rule = warner->rule;

    for (size_t i = 0; i < rule->n_patterns; i++) {
        const struct policy_pattern *pattern = &warner->policy->patterns[rule->first_pattern + i];
        const char *clause = syntax_hint_find_clause(pattern->text);

        if (clause == NULL && (strcasecmp(pattern->text, "max") == 0 ||
                               pattern->text[strspn(pattern->text, "0123456789")] == '\0'))
            clause = "limit NUMBER";
        if (clause != NULL)
            warn(warner, "clause", pattern->line, pattern->column,
                 "%s is taken as a name that may be asked for; the clause is: %s", pattern->text,
                 clause);
    }
}

/* Root needs no sudo to be root. */
static bool is_for_root_only(const struct warner *warner) {
    const struct policy_rule *rule = warner->rule;

    for (size_t i = 0; i < rule->n_subjects; i++) {
        const struct policy_subject *subject = &warner->policy->subjects[rule->first_subject + i];

        if (subject->kind != POLICY_USER ||
            (subject->is_id ? subject->id != 0 : strcmp(subject->name, "root") != 0))
            return false;
    }
    return !rule->is_any;
}

static void keywords_look_at(const struct warner *warner) {
    const struct policy_rule *rule = warner->rule;
    bool has_wildcard = false;

    for (size_t i = 0; i < rule->n_patterns; i++)
        has_wildcard |= warner->policy->patterns[rule->first_pattern + i].is_wildcard;
    if (rule->is_setuid && has_wildcard && !is_for_root_only(warner))
        warn(warner, "setuid", rule->setuid_line, rule->setuid_column,
             "setuid with a wildcard: sudo compares the hosts in its own rules with this name, so "
             "whoever may choose the name may choose which of them hold; spell the names out");
    if (rule->limit != 0)
        warn(warner, "limit", rule->limit_line, rule->limit_column,
             "limit: only the service counts, so in direct mode this rule refuses");
}

static int rules_look_for_hidden(struct warner *warner) {
    const struct policy *policy = warner->policy;
    CLEANUP_FREE const struct policy_rule **unreachable_by =
        calloc(policy->n_rules + 1, sizeof(*unreachable_by));
    int r = unreachable_by == NULL ? -ENOMEM : unreachable_find_all(policy, unreachable_by);

    for (size_t i = 0; i < policy->n_rules && r == 0; i++) {
        warner->rule = &policy->rules[i];
        if (unreachable_by[i] != NULL)
            warn(warner, "unreachable", warner->rule->line, warner->rule->column,
                 "this rule is never reached: %s:%u decides all of it before",
                 unreachable_by[i]->file, unreachable_by[i]->line);
    }
    return r;
}

static bool late_deny_look_at(const struct warner *warner, const struct policy_rule *permit) {
    const struct policy_rule *deny = warner->rule;
    const struct policy_pattern *denied, *permitted;

    if (!subsumption_find_late(warner->policy, permit, deny, &denied, &permitted))
        return false;
    warn(warner, "late", denied->line, denied->column,
         "%s comes too late for what %s permits at %s:%u: the first rule that matches decides, so "
         "deny above it",
         denied->text, permitted->text, permit->file, permit->line);
    return true;
}

/*
 * Only a permit rule that is for all whom the deny rule is for: else it is an exception for some.
 * Those for everybody are in @permits from the front, the others from the back.
 */
static int rules_look_for_late(struct warner *warner) {
    const struct policy *policy = warner->policy;
    CLEANUP_FREE const struct policy_rule **permits = calloc(policy->n_rules + 1, sizeof(*permits));
    size_t n_for_any = 0, first_other = policy->n_rules;
    bool is_late;

    if (permits == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < policy->n_rules; i++) {
        const struct policy_rule *rule = &policy->rules[i];

        if (rule->action == POLICY_PERMIT) {
            permits[rule->is_any ? n_for_any++ : --first_other] = rule;
            continue;
        }
        warner->rule = rule;
        is_late = false;
        for (size_t j = 0; j < n_for_any && !is_late; j++)
            is_late = late_deny_look_at(warner, permits[j]);
        for (size_t j = policy->n_rules; j-- > first_other && !rule->is_any && !is_late;)
            is_late = late_deny_look_at(warner, permits[j]);
    }
    return 0;
}

/*
 * Reports, each as a warning, what in @policy is hardly what was meant: users and groups that
 * nobody knows here, if @knows_users, rules that are never reached, or deny too late, patterns that
 * match nothing, setuid with a wildcard, limits, which direct mode refuses. Returns 0 or -ENOMEM.
 */
int warnings_find(const struct policy *policy, bool knows_users, policy_report report,
                  void *context) {
    struct warner warner = {
        .policy = policy, .database = {.uid = (uid_t)-1}, .report = report, .context = context};
    int r = 0;

    for (size_t i = 0; i < policy->n_rules && r == 0; i++) {
        warner.rule = &policy->rules[i];
        r = knows_users ? subjects_look_at(&warner) : 0;
        patterns_look_at(&warner);
        words_look_at(&warner);
        keywords_look_at(&warner);
    }
    if (r == 0)
        r = rules_look_for_hidden(&warner);
    if (r == 0)
        r = rules_look_for_late(&warner);
    subject_deinit(&warner.database);
    return r;
}
