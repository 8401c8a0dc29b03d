#include "policy/warnings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/cover.h"
#include "policy/decision.h"
#include "policy/names.h"
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

static bool char_is_of_names(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.';
}

static bool char_is_edge(char c) {
    return c == '-' || c == '.';
}

/* Why no name of RFC 1123 matches @pattern, which has a wildcard; NULL: some may. */
static const char *find_contradiction(const char *pattern) {
    size_t n = 0, n_label = 0; /* characters that must be there */
    char before = '.';         /* '\0': it may be any */

    for (const char *at = pattern; *at != '\0'; at++) {
        if (*at == '[')
            at = strchr(at, ']');
        if (*at == '*' || *at == '?' || *at == ']') {
            before = '\0';
            n += *at != '*';
            n_label = 0;
            continue;
        }
        if (!char_is_of_names(*at))
            return "has a character that none of them has";
        if (char_is_edge(*at) && (before == '.' || (*at == '.' && before == '-')))
            return "has a label that is empty or has a hyphen at its edge";
        n++;
        n_label = *at == '.' ? 0 : n_label + 1;
        if (n_label > NAME_LABEL_MAX)
            return "has a label that is too long";
        before = *at;
    }
    if (char_is_edge(before))
        return "has a label that is empty or has a hyphen at its edge";
    return n > NAME_LENGTH_MAX ? "asks for more than 64 bytes" : NULL;
}

static void patterns_look_at(const struct warner *warner) {
    const struct policy_rule *rule = warner->rule;

    for (size_t i = 0; i < rule->n_patterns && rule->action == POLICY_PERMIT; i++) {
        const struct policy_pattern *pattern = &warner->policy->patterns[rule->first_pattern + i];
        const char *why = pattern->is_wildcard ? find_contradiction(pattern->text) : NULL;

        if (why != NULL)
            warn(warner, "no-match", pattern->line, pattern->column,
                 "%s matches nothing: a wildcard stands for names of RFC 1123, and it %s",
                 pattern->text, why);
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
    CLEANUP_FREE const struct policy_rule **hidden_by =
        calloc(policy->n_rules + 1, sizeof(*hidden_by));
    int r = hidden_by == NULL ? -ENOMEM : cover_find_all(policy, hidden_by);

    for (size_t i = 0; i < policy->n_rules && r == 0; i++) {
        warner->rule = &policy->rules[i];
        if (hidden_by[i] != NULL)
            warn(warner, "unreachable", warner->rule->line, warner->rule->column,
                 "this rule is never reached: %s:%u decides all of it before", hidden_by[i]->file,
                 hidden_by[i]->line);
    }
    return r;
}

/*
 * Reports, each as a warning, what in @policy is hardly what was meant: users and groups that
 * nobody knows here, rules that are never reached, patterns that match nothing, setuid with a
 * wildcard, limits, which direct mode refuses. Returns 0 or -ENOMEM.
 */
int warnings_find(const struct policy *policy, policy_report report, void *context) {
    struct warner warner = {
        .policy = policy, .database = {.uid = (uid_t)-1}, .report = report, .context = context};
    int r = 0;

    for (size_t i = 0; i < policy->n_rules && r == 0; i++) {
        warner.rule = &policy->rules[i];
        r = subjects_look_at(&warner);
        patterns_look_at(&warner);
        keywords_look_at(&warner);
    }
    if (r == 0)
        r = rules_look_for_hidden(&warner);
    subject_deinit(&warner.database);
    return r;
}
