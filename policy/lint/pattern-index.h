#pragma once

/*
 * Finds, among many patterns, those that can match a name in common with a pattern: without it each
 * deny rule would have to be compared with each permit rule.
 */

#include <stdint.h>

#include "policy/name-pattern.h"
#include "policy/rules.h"

/* The characters of names that a pattern matches, as bits; several characters share a bit. */
struct pattern_index_chars {
    uint64_t needed, possible;
};

struct pattern_index_entry {
    const struct policy_pattern *pattern;
    size_t rule;      /* its number */
    const char *text; /* the part by which it is found */
    size_t length;
    struct pattern_index_chars chars;
};

/* The patterns that are found by one part of them. */
struct pattern_index_side {
    struct pattern_index_entry *by_text, *by_rule;
    size_t n;
    bool is_end; /* that part is the end: it is compared from its last character to its first */
};

/* Patterns with a fixed beginning; without it, those with a fixed end; the others. */
enum { PATTERN_INDEX_BEGINNING, PATTERN_INDEX_END, PATTERN_INDEX_REST, PATTERN_INDEX_SIDES };

/* True if the index is to have @pattern, of @rule. */
typedef bool (*pattern_index_filter)(const struct policy_rule *rule,
                                     const struct policy_pattern *pattern);

struct pattern_index {
    struct pattern_index_side sides[2][PATTERN_INDEX_SIDES]; /* for each kind of name */
};

/* Parts of the lists that have the patterns that were asked for. */
struct pattern_index_result {
    struct pattern_index_chars chars; /* of the pattern that was asked for */
    struct {
        const struct pattern_index_entry *entries;
        size_t n;
        bool is_by_rule; /* the rules' numbers grow */
    } parts[2 * (NAME_LENGTH_MAX + 1) + 1];
    size_t n_parts;
};

bool pattern_index_is_for_any(const struct policy_rule *rule, const struct policy_pattern *pattern);
bool pattern_index_is_for_some(const struct policy_rule *rule,
                               const struct policy_pattern *pattern);
int pattern_index_init(struct pattern_index *index, const struct policy *policy,
                       pattern_index_filter filter);
void pattern_index_deinit(struct pattern_index *index);
void pattern_index_find(const struct pattern_index *index, enum policy_name_kind kind,
                        const char *pattern, struct pattern_index_result *result);
bool pattern_index_can_meet(const struct pattern_index_result *result,
                            const struct pattern_index_entry *entry);

#define CLEANUP_PATTERN_INDEX __attribute__((cleanup(pattern_index_deinit)))
