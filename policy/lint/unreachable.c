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
 * Comparing each rule with each earlier rule would take quadratic time. So an index finds the
 * earlier rules that can cover a rule. Such a rule has one of its subjects, or any. And it has a
 * pattern whose fixed beginning or end is part of the beginning or end of the rule's first pattern,
 * or no pattern.
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

/* The FNV-1a hash. A collision costs one more comparison. */
static uint64_t make_key(char kind, const char *bytes, size_t n) {
    uint64_t key = (UINT64_C(0xcbf29ce484222325) ^ (unsigned char)kind) * UINT64_C(0x100000001b3);

    for (size_t i = 0; i < n; i++)
        key = (key ^ (unsigned char)name_char_to_lower(bytes[i])) * UINT64_C(0x100000001b3);
    return key;
}

static uint64_t make_subject_key(const struct policy_subject *subject) {
    const char *bytes = subject->is_id ? (const char *)&subject->id : subject->name;

    return make_key((char)(subject->kind * 2 + subject->is_id), bytes,
                    subject->is_id ? sizeof(subject->id) : strlen(bytes));
}

enum { ANY_SUBJECT = 'a', BEGINNING = 'b', END = 'e', MIDDLE = 'm', EVERYTHING = '*' };

static char make_kind(const struct policy_pattern *pattern, char part) {
    return pattern->kind == POLICY_HOSTNAME ? part : (char)(part + 'A' - 'a');
}

/* The length of the fixed text before the first wildcard. */
static size_t get_beginning_length(const char *pattern) {
    return strcspn(pattern, "*?[");
}

/* The length of the fixed text after the last wildcard. */
static size_t get_end_length(const char *pattern) {
    size_t length = strlen(pattern), n = 0;

    while (n < length && strchr("*?]", pattern[length - 1 - n]) == NULL)
        n++;
    return n;
}

static uint64_t make_pattern_key(const struct policy_pattern *pattern) {
    size_t beginning = get_beginning_length(pattern->text), end = get_end_length(pattern->text);

    if (beginning > 0)
        return make_key(make_kind(pattern, BEGINNING), pattern->text, beginning);
    return make_key(make_kind(pattern, end > 0 ? END : MIDDLE),
                    pattern->text + strlen(pattern->text) - end, end);
}

static void index_add_rule(struct index *index, const struct policy *policy, size_t number) {
    const struct policy_rule *rule = &policy->rules[number];

    if (rule->is_any)
        index_add(index, make_key(ANY_SUBJECT, "", 0), number);
    for (size_t i = 0; i < rule->n_subjects; i++)
        index_add(index, make_subject_key(&policy->subjects[rule->first_subject + i]), number);
    if (rule_denies_everything(rule))
        index_add(index, make_key(EVERYTHING, "", 0), number);
    for (size_t i = 0; i < rule->n_patterns; i++)
        index_add(index, make_pattern_key(&policy->patterns[rule->first_pattern + i]), number);
}

/* An earlier rule that covers a rule has one of its keys; these are at most 3 * 64 + 2. */
enum { KEYS_MAX = 3 * NAME_LENGTH_MAX + 4 };

static size_t make_subject_keys(const struct policy *policy, const struct policy_rule *rule,
                                uint64_t *keys) {
    size_t n = 0;

    keys[n++] = make_key(ANY_SUBJECT, "", 0);
    if (!rule->is_any)
        keys[n++] = make_subject_key(&policy->subjects[rule->first_subject]);
    return n;
}

static size_t make_pattern_keys(const struct policy *policy, const struct policy_rule *rule,
                                uint64_t *keys) {
    const struct policy_pattern *pattern;
    char label[SUBSUMPTION_LABEL_MAX + 1];
    size_t beginning, end, length, n = 0;

    keys[n++] = make_key(EVERYTHING, "", 0);
    if (rule->n_patterns == 0)
        return n;
    pattern = &policy->patterns[rule->first_pattern];
    beginning = get_beginning_length(pattern->text);
    end = get_end_length(pattern->text);
    length = strlen(pattern->text);
    keys[n++] = make_key(make_kind(pattern, MIDDLE), "", 0);
    for (size_t i = 1; i <= beginning && i <= NAME_LENGTH_MAX; i++)
        keys[n++] = make_key(make_kind(pattern, BEGINNING), pattern->text, i);
    for (size_t i = 1; i <= end && i <= NAME_LENGTH_MAX; i++)
        keys[n++] = make_key(make_kind(pattern, END), pattern->text + length - i, i);
    /* A deny rule may match the first label only. */
    if (pattern->kind == POLICY_DOMAINNAME || !subsumption_find_label(pattern->text, label))
        return n;
    length = strlen(label);
    end = get_end_length(label);
    for (size_t i = 1; i <= end && i <= NAME_LENGTH_MAX; i++)
        keys[n++] = make_key(make_kind(pattern, END), label + length - i, i);
    return n;
}

/* Counts up to MANY. */
static size_t count_candidates(const struct index *index, const uint64_t *keys, size_t n_keys) {
    enum { MANY = 200 };
    size_t n = 0;

    for (size_t i = 0; i < n_keys; i++)
        for (const struct entry *entry = index->buckets[keys[i] & (index->n_buckets - 1)];
             entry != NULL && n < MANY; entry = entry->next)
            n += entry->key == keys[i];
    return n;
}

/* Returns the first rule that has one of @keys and covers the rule @number; NULL: none. */
static const struct policy_rule *find_covering_rule(const struct policy *policy,
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
 * Sets @unreachable_by, which has an element for each rule of @policy, to the earlier rule that
 * makes the rule unreachable, or NULL. Returns 0 or -ENOMEM.
 */
int unreachable_find_all(const struct policy *policy, const struct policy_rule **unreachable_by) {
    CLEANUP_INDEX struct index index = {.n_entries = 0};
    int r = index_init(&index, policy->n_rules * 2 + policy->n_subjects + policy->n_patterns);

    for (size_t number = 0; r == 0 && number < policy->n_rules; number++) {
        const struct policy_rule *rule = &policy->rules[number];
        uint64_t by_subject[KEYS_MAX], by_pattern[KEYS_MAX];
        size_t n_subjects = make_subject_keys(policy, rule, by_subject);
        size_t n_patterns = make_pattern_keys(policy, rule, by_pattern);
        bool has_few_by_subject = count_candidates(&index, by_subject, n_subjects) <
                                  count_candidates(&index, by_pattern, n_patterns);

        unreachable_by[number] =
            has_few_by_subject ? find_covering_rule(policy, &index, by_subject, n_subjects, number)
                               : find_covering_rule(policy, &index, by_pattern, n_patterns, number);
        index_add_rule(&index, policy, number);
    }
    return r;
}
