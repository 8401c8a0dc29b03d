#include "policy/lint/unreachable.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/lint/subsumption.h"
#include "policy/decision.h"
#include "policy/name-pattern.h"
#include "utsbroker/base.h"

/*
 * To try each rule with each before it takes the square of their number. So rules are found by what
 * one that covers another must have: one of its subjects (or any), and for its first pattern one
 * that begins, or ends, with a part of what that begins or ends with.
 */
struct entry {
    uint64_t key;
    size_t rule;
    struct entry *next;
};

struct index {
    struct entry *entries;
    size_t n_entries;
    struct entry **buckets;
    size_t n_buckets; /* a power of two */
};

static void index_deinit(struct index *index) {
    free(index->entries);
    free(index->buckets);
}

#define CLEANUP_INDEX __attribute__((cleanup(index_deinit)))

static int index_init(struct index *index, size_t n_entries) {
    *index = (struct index){.n_buckets = 16};
    while (index->n_buckets < n_entries)
        index->n_buckets *= 2;
    index->entries = calloc(n_entries + 1, sizeof(*index->entries));
    index->buckets = calloc(index->n_buckets, sizeof(struct entry *));
    return index->entries == NULL || index->buckets == NULL ? -ENOMEM : 0;
}

static void index_add(struct index *index, uint64_t key, size_t rule) {
    struct entry *entry = &index->entries[index->n_entries++];
    struct entry **bucket = &index->buckets[key & (index->n_buckets - 1)];

    *entry = (struct entry){.key = key, .rule = rule, .next = *bucket};
    *bucket = entry;
}

/* FNV-1a. Two keys that are one by chance cost a comparison more. */
static uint64_t key_of(char kind, const char *bytes, size_t n) {
    uint64_t key = (UINT64_C(0xcbf29ce484222325) ^ (unsigned char)kind) * UINT64_C(0x100000001b3);

    for (size_t i = 0; i < n; i++)
        key = (key ^ (unsigned char)name_char_to_lower(bytes[i])) * UINT64_C(0x100000001b3);
    return key;
}

static uint64_t key_of_subject(const struct policy_subject *subject) {
    const char *bytes = subject->is_id ? (const char *)&subject->id : subject->name;

    return key_of((char)(subject->kind * 2 + subject->is_id), bytes,
                  subject->is_id ? sizeof(subject->id) : strlen(bytes));
}

enum { ANY_SUBJECT = 'a', BEGINNING = 'b', END = 'e', MIDDLE = 'm', EVERYTHING = '*' };

static char kind_of(const struct policy_pattern *pattern, char part) {
    return pattern->kind == POLICY_HOSTNAME ? part : (char)(part + 'A' - 'a');
}

/* What a pattern begins and ends with, before its first wildcard and behind its last. */
static size_t beginning_length(const char *pattern) {
    return strcspn(pattern, "*?[");
}

static size_t end_length(const char *pattern) {
    size_t length = strlen(pattern), n = 0;

    while (n < length && strchr("*?]", pattern[length - 1 - n]) == NULL)
        n++;
    return n;
}

static uint64_t key_of_pattern(const struct policy_pattern *pattern) {
    size_t beginning = beginning_length(pattern->text), end = end_length(pattern->text);

    if (beginning > 0)
        return key_of(kind_of(pattern, BEGINNING), pattern->text, beginning);
    return key_of(kind_of(pattern, end > 0 ? END : MIDDLE),
                  pattern->text + strlen(pattern->text) - end, end);
}

static void rule_add(struct index *index, const struct policy *policy, size_t number) {
    const struct policy_rule *rule = &policy->rules[number];

    if (rule->is_any)
        index_add(index, key_of(ANY_SUBJECT, "", 0), number);
    for (size_t i = 0; i < rule->n_subjects; i++)
        index_add(index, key_of_subject(&policy->subjects[rule->first_subject + i]), number);
    if (rule_denies_everything(rule))
        index_add(index, key_of(EVERYTHING, "", 0), number);
    for (size_t i = 0; i < rule->n_patterns; i++)
        index_add(index, key_of_pattern(&policy->patterns[rule->first_pattern + i]), number);
}

/* The keys of which an earlier rule that covers @rule has at least one; at most 2 * 64 + 2. */
enum { KEYS_MAX = 2 * NAME_LENGTH_MAX + 4 };

static size_t keys_of_subjects(const struct policy *policy, const struct policy_rule *rule,
                               uint64_t *keys) {
    size_t n = 0;

    keys[n++] = key_of(ANY_SUBJECT, "", 0);
    if (!rule->is_any)
        keys[n++] = key_of_subject(&policy->subjects[rule->first_subject]);
    return n;
}

static size_t keys_of_patterns(const struct policy *policy, const struct policy_rule *rule,
                               uint64_t *keys) {
    const struct policy_pattern *pattern;
    size_t beginning, end, length, n = 0;

    keys[n++] = key_of(EVERYTHING, "", 0);
    if (rule->n_patterns == 0)
        return n;
    pattern = &policy->patterns[rule->first_pattern];
    beginning = beginning_length(pattern->text);
    end = end_length(pattern->text);
    length = strlen(pattern->text);
    keys[n++] = key_of(kind_of(pattern, MIDDLE), "", 0);
    for (size_t i = 1; i <= beginning && i <= NAME_LENGTH_MAX; i++)
        keys[n++] = key_of(kind_of(pattern, BEGINNING), pattern->text, i);
    for (size_t i = 1; i <= end && i <= NAME_LENGTH_MAX; i++)
        keys[n++] = key_of(kind_of(pattern, END), pattern->text + length - i, i);
    return n;
}

/* Counts no further than to MANY. */
static size_t count_candidates(const struct index *index, const uint64_t *keys, size_t n_keys) {
    enum { MANY = 200 };
    size_t n = 0;

    for (size_t i = 0; i < n_keys; i++)
        for (const struct entry *entry = index->buckets[keys[i] & (index->n_buckets - 1)];
             entry != NULL && n < MANY; entry = entry->next)
            n += entry->key == keys[i];
    return n;
}

/* The first of the rules that have one of @keys and that cover rule @number; NULL: none. */
static const struct policy_rule *first_that_covers(const struct policy *policy,
                                                   const struct index *index, const uint64_t *keys,
                                                   size_t n_keys, size_t number) {
    size_t first = number;

    for (size_t i = 0; i < n_keys; i++)
        for (const struct entry *entry = index->buckets[keys[i] & (index->n_buckets - 1)];
             entry != NULL; entry = entry->next)
            if (entry->key == keys[i] && entry->rule < first &&
                subsumption_of_rule(policy, &policy->rules[entry->rule], &policy->rules[number]))
                first = entry->rule;
    return first < number ? &policy->rules[first] : NULL;
}

/*
 * Puts into @unreachable_by, which has room for each rule of @policy, the earlier rule because of
 * which it is never reached, or NULL. Returns 0 or -ENOMEM.
 */
int unreachable_find_all(const struct policy *policy, const struct policy_rule **unreachable_by) {
    CLEANUP_INDEX struct index index = {.n_entries = 0};
    int r = index_init(&index, policy->n_rules * 2 + policy->n_subjects + policy->n_patterns);

    for (size_t number = 0; r == 0 && number < policy->n_rules; number++) {
        const struct policy_rule *rule = &policy->rules[number];
        uint64_t by_subject[KEYS_MAX], by_pattern[KEYS_MAX];
        size_t n_subjects = keys_of_subjects(policy, rule, by_subject);
        size_t n_patterns = keys_of_patterns(policy, rule, by_pattern);
        bool is_subject_rare = count_candidates(&index, by_subject, n_subjects) <
                               count_candidates(&index, by_pattern, n_patterns);

        unreachable_by[number] =
            is_subject_rare ? first_that_covers(policy, &index, by_subject, n_subjects, number)
                            : first_that_covers(policy, &index, by_pattern, n_patterns, number);
        rule_add(&index, policy, number);
    }
    return r;
}
