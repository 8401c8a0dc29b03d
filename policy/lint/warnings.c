#include "policy/lint/warnings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/lint/contradiction.h"
#include "policy/lint/dotted-deny.h"
#include "policy/lint/habits.h"
#include "policy/lint/late.h"
#include "policy/lint/print.h"
#include "policy/lint/unreachable.h"
#include "policy/lint/warn.h"
#include "policy/syntax-hints.h"
#include "policy/name-pattern.h"
#include "policy/subject.h"
#include "utsbroker/base.h"

struct warner {
    const struct policy *policy;
    const struct policy_rule *rule; /* the rule that is checked */
    struct subject database;        /* no user; keeps the results of lookups */
    struct warning_sink sink;       /* for that rule's file */
};

static void warner_choose_rule(struct warner *warner, const struct policy_rule *rule) {
    warner->rule = rule;
    warner->sink.file = rule->file;
}

static int warn_of_unknown_subjects(struct warner *warner) {
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
            warn(&warner->sink, "unknown", subject->line, subject->column,
                 "%s %s could not be looked up: %s", what, subject->name, strerror(-r));
        else if (r == SUBJECT_E_UNKNOWN)
            warn(&warner->sink, "unknown", subject->line, subject->column,
                 rule->action == POLICY_PERMIT
                     ? "no %s %s is known here: this permit rule ignores the name"
                     : "no %s %s is known here: this deny rule applies to everybody",
                 what, subject->name);
    }
    return 0;
}

static void warn_of_useless_patterns(const struct warner *warner) {
    const struct policy_rule *rule = warner->rule;

    for (size_t i = 0; i < rule->n_patterns && rule->action == POLICY_PERMIT; i++) {
        const struct policy_pattern *pattern = &warner->policy->patterns[rule->first_pattern + i];
        bool is_first = !print_is_same_word(warner->policy, rule, i);
        char invalid = '\0';
        const char *why =
            pattern->is_wildcard && is_first ? contradiction_find(pattern->text, &invalid) : NULL;

        if (invalid != '\0')
            warn(&warner->sink, "no-match", pattern->line, pattern->column,
                 "%s matches nothing: a wildcard matches only valid host names (RFC 1123), which "
                 "never contain '%c'",
                 pattern->written, invalid);
        else if (why != NULL)
            warn(&warner->sink, "no-match", pattern->line, pattern->column,
                 "%s matches nothing: a wildcard matches only valid host names (RFC 1123), and the "
                 "pattern %s",
                 pattern->written, why);
    }
}

/* The word may be a name, but more often it is a misspelled clause. */
static void warn_of_misread_clauses(const struct warner *warner) {
    const struct policy_rule *rule = warner->rule;

    for (size_t i = 0; i < rule->n_patterns; i++) {
        const struct policy_pattern *pattern = &warner->policy->patterns[rule->first_pattern + i];
        const char *clause = syntax_hint_find_clause(pattern->written);

        if (clause == NULL && (strcasecmp(pattern->written, "max") == 0 ||
                               pattern->written[strspn(pattern->written, "0123456789")] == '\0'))
            clause = "limit NUMBER";
        if (clause != NULL)
            warn(&warner->sink, "clause", pattern->line, pattern->column,
                 "%s is read as one more name; for the clause write: %s", pattern->written, clause);
    }
}

/* Root does not need sudo, so setuid for root is no risk. */
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

static void warn_of_risky_clauses(const struct warner *warner) {
    const struct policy_rule *rule = warner->rule;
    bool has_wildcard = false;

    for (size_t i = 0; i < rule->n_patterns; i++)
        has_wildcard |= warner->policy->patterns[rule->first_pattern + i].is_wildcard;
    if (rule->is_setuid && has_wildcard && !is_for_root_only(warner))
        warn(&warner->sink, "setuid", rule->setuid_line, rule->setuid_column,
             "setuid with a wildcard: sudo compares its host rules with this name, so users choose "
             "which of them apply; spell out each name");
}

/* True if @pattern matches every host name, or every name that begins with a letter or has a dot.
 */
static bool is_every_name(const char *pattern) {
    bool has_star = false;

    for (const char *at = pattern; *at != '\0'; at = pattern_skip_element(at)) {
        for (char c = 'a'; c <= 'z' && *at == '['; c++) {
            const char *element = at;

            if (!pattern_match_element(&element, c))
                return false;
        }
        if (strchr("*?[.", *at) == NULL || (*at == '.' && !has_star))
            return false;
        has_star |= *at == '*';
    }
    return has_star;
}

static void warn_of_every_name(const struct warner *warner) {
    const struct policy_rule *rule = warner->rule;

    if (rule->action == POLICY_DENY || is_for_root_only(warner))
        return;
    for (size_t i = 0; i < rule->n_patterns; i++) {
        const struct policy_pattern *pattern = &warner->policy->patterns[rule->first_pattern + i];

        if (pattern->kind != POLICY_HOSTNAME || !is_every_name(pattern->text))
            continue;
        warn(&warner->sink, "every-name", pattern->line, pattern->column,
             "%.40s permits every host of the site, also the names that licence servers and sudo "
             "rules trust: name the hosts, or a domain such as *.test",
             pattern->written);
        return; /* once a rule is enough */
    }
}

static void warn_of_late_rule(void *context, const struct late *late) {
    struct warner *warner = context;

    warner_choose_rule(warner, late->rule);
    warn(&warner->sink, "late", late->line, late->column, "%s", late->message);
}

static void warn_of_dotted_deny(void *context, const struct dotted_deny *found) {
    struct warner *warner = context;

    warner_choose_rule(warner, found->rule);
    warn(&warner->sink, "dotted-deny", found->line, found->column, "%s", found->message);
}

/* Warns of rules that are never reached, and of those that deny too late, or too few names. */
static int warn_of_order(struct warner *warner, bool knows_users) {
    const struct policy *policy = warner->policy;
    CLEANUP_UNREACHABLE_INDEX struct unreachable_index index = {.entries = NULL};
    CLEANUP_FREE const struct policy_rule **unreachable_by =
        calloc(policy->n_rules + 1, sizeof(*unreachable_by));
    int r = unreachable_by == NULL ? -ENOMEM : unreachable_index_init(&index, policy);

    if (r < 0)
        return r;
    unreachable_find_all(&index, unreachable_by);
    for (size_t i = 0; i < policy->n_rules; i++) {
        warner_choose_rule(warner, &policy->rules[i]);
        if (unreachable_by[i] != NULL)
            warn(&warner->sink, "unreachable", warner->rule->line, warner->rule->column,
                 "this rule is never reached: %s:%u matches all of its requests first",
                 unreachable_by[i]->file, unreachable_by[i]->line);
    }
    r = late_find_all(&index, unreachable_by, knows_users, warn_of_late_rule, warner);
    if (r == 0)
        r = dotted_deny_find_all(policy, unreachable_by, knows_users, warn_of_dotted_deny, warner);
    return r;
}

/*
 * Reports, as warnings, the likely mistakes in @policy: unknown users and groups (only if
 * @knows_users: this machine knows the policy's users), rules that are never reached, that deny
 * too late or a host in one domain only, patterns that match nothing, misspelled clauses, setuid
 * with a wildcard, every host name for others than root, words of other languages. Returns 0 or
 * -ENOMEM.
 */
int warnings_find(const struct policy *policy, bool knows_users, policy_report report,
                  void *context) {
    struct warner warner = {.policy = policy,
                            .database = {.uid = (uid_t)-1},
                            .sink = {.report = report, .context = context}};
    int r = 0;

    for (size_t i = 0; i < policy->n_rules && r == 0; i++) {
        warner_choose_rule(&warner, &policy->rules[i]);
        r = knows_users ? warn_of_unknown_subjects(&warner) : 0;
        warn_of_useless_patterns(&warner);
        warn_of_misread_clauses(&warner);
        warn_of_risky_clauses(&warner);
        warn_of_every_name(&warner);
        habits_find(policy, warner.rule, report, context);
    }
    if (r == 0)
        r = warn_of_order(&warner, knows_users);
    subject_deinit(&warner.database);
    return r;
}
