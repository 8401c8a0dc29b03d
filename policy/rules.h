#pragma once

/* The policy in memory: a list of rules, in the order in which they are tried. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest id of a user or group: UINT32_MAX, (uid_t)-1, means "no change" to chown(2). */
#define POLICY_ID_MAX (UINT32_MAX - 1)

enum policy_action { POLICY_DENY, POLICY_PERMIT };

enum policy_subject_kind { POLICY_USER, POLICY_GROUP };

/* One NAME after `user` or `group`. A name of digits is an id; its @name is NULL. */
struct policy_subject {
    enum policy_subject_kind kind;
    bool is_id;
    uint32_t id;
    const char *name;
    unsigned line, column;
};

enum policy_name_kind { POLICY_HOSTNAME, POLICY_DOMAINNAME };

/*
 * One glob pattern. A word with host ranges (host-range.h) makes several, which follow each other
 * in the rule: they have the same @written, which is shown to people, and each its own @text, which
 * is matched.
 */
struct policy_pattern {
    enum policy_name_kind kind;
    bool is_wildcard;   /* the word has a wildcard or a range, so it spells out no name */
    bool is_set;        /* deny: a range of the word read as a set, which is denied, too */
    bool matches_label; /* deny hostname, no dot: @text may also match the name's first label */
    char first, last;   /* bytes of @text in lower case; '\0': a wildcard. policy_add_pattern() */
    const char *text;
    const char *written; /* the word in the file; the same pointer for all patterns of the word */
    unsigned line, column;
};

/*
 * One rule. Its subjects and patterns are index ranges of the policy's arrays, not pointers: the
 * arrays move while they grow.
 */
struct policy_rule {
    enum policy_action action;
    bool is_any;    /* for everybody */
    bool is_setuid; /* permit: the command may gain new privileges (no no_new_privs) */
    uint32_t limit; /* permit: running commands of one user by this rule; 0: no limit */
    size_t first_subject, n_subjects;
    size_t first_pattern, n_patterns;
    const char *file;
    unsigned line, column;
    unsigned setuid_line, setuid_column; /* of that keyword */
};

struct policy {
    struct policy_rule *rules;
    size_t n_rules, rules_room;
    struct policy_subject *subjects;
    size_t n_subjects, subjects_room;
    struct policy_pattern *patterns;
    size_t n_patterns, patterns_room;
    char **texts; /* hold the names, the patterns and the file names */
    size_t n_texts, texts_room;
};

#define POLICY_NULL                                                                                \
    { 0 }

/*
 * With an error all requests are refused; warnings are reported only to callers that ask for them.
 */
enum policy_severity { POLICY_ERROR, POLICY_WARNING };

/* An error or warning and its place; @line and @column (in bytes) count from 1. */
struct policy_error {
    enum policy_severity severity;
    const char *kind; /* of a warning: one stable word, for programs */
    const char *file;
    unsigned line; /* 0: the whole file */
    unsigned column;
    char message[224];
    /* Of an error that is about a bare word: the word, the keyword before it, and what to advise.
     */
    int hint; /* enum syntax_hint */
    const char *word, *keyword;
};

/* Called for each error and warning; @error is valid only during the call. */
typedef void (*policy_report)(void *context, const struct policy_error *error);

enum {
    POLICY_E_INVALID = 1, /* at least one error was reported */
};

void policy_deinit(struct policy *policy);
int policy_add_rule(struct policy *policy, const struct policy_rule *rule);
int policy_add_subject(struct policy *policy, const struct policy_subject *subject);
int policy_add_pattern(struct policy *policy, const struct policy_pattern *pattern);
int policy_adopt_text(struct policy *policy, char *text);

#define CLEANUP_POLICY __attribute__((cleanup(policy_deinit)))
