#pragma once

/* The policy in memory: a list of rules in the order in which they are tried. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum policy_action { POLICY_DENY, POLICY_PERMIT };

enum policy_subject_kind { POLICY_USER, POLICY_GROUP };

/* One NAME after `user` or `group`; a name of digits is an id and has no @name. */
struct policy_subject {
    enum policy_subject_kind kind;
    bool is_id;
    uint32_t id;
    const char *name;
    unsigned line, column;
};

enum policy_name_kind { POLICY_HOSTNAME, POLICY_DOMAINNAME };

struct policy_pattern {
    enum policy_name_kind kind;
    bool is_wildcard;
    const char *text;
    unsigned line, column;
};

/*
 * One rule. Subjects and patterns are ranges of the policy's arrays, not pointers: the arrays move
 * while they grow.
 */
struct policy_rule {
    enum policy_action action;
    bool is_any;    /* subjects: everybody */
    bool is_setuid; /* permit: without no_new_privs */
    uint32_t limit; /* permit: live commands of one user; 0: no limit */
    size_t first_subject, n_subjects;
    size_t first_pattern, n_patterns;
    const char *file;
    unsigned line, column;
    unsigned limit_line, limit_column, setuid_line, setuid_column; /* where that keyword stands */
};

struct policy {
    struct policy_rule *rules;
    size_t n_rules, rules_room;
    struct policy_subject *subjects;
    size_t n_subjects, subjects_room;
    struct policy_pattern *patterns;
    size_t n_patterns, patterns_room;
    char **texts; /* what names, patterns and file names point into */
    size_t n_texts, texts_room;
};

#define POLICY_NULL                                                                                \
    { 0 }

/* An error refuses everybody everything; of a warning only those hear who ask for it. */
enum policy_severity { POLICY_ERROR, POLICY_WARNING };

/* Where in which file something is wrong, and what; @line and @column count from 1, in bytes. */
struct policy_error {
    enum policy_severity severity;
    const char *kind; /* of a warning: one word that stays the same, for programs */
    const char *file;
    unsigned line; /* 0: the file as a whole */
    unsigned column;
    char message[224];
};

/* Called for each error that is found; @error is valid only during the call. */
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
