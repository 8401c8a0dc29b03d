#include "policy/lint/unreachable.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/lint/pattern-edges.h"
#include "policy/lint/subsumption.h"
#include "policy/decision.h"
#include "policy/name-pattern.h"
#include "utsbroker/base.h"

/*
 * Comparing each rule with each earlier rule would take quadratic time. So an index finds the
 * earlier rules that can cover a rule. Such a rule has the rule's first subject, or any. And it has
 * a pattern whose fixed beginning or end is part of the beginning or end of the rule's first
 * pattern, or no pattern. A key stands for a subject and such a part. Rules with many subjects and
 * patterns are found by their subjects only.
 */
struct unreachable_entry {
    uint64_t key;
    size_t rule;
    struct unreachable_entry *next;
};

/* Frees what @index holds. */
void unreachable_index_deinit(struct unreachable_index *index) {
    free(index->entries);
    free(index->buckets);
    *index = (struct unreachable_index){.entries = NULL};
}

static int index_make_room(struct unreachable_index *index, size_t n_entries) {
    *index = (struct unreachable_index){.n_buckets = 16};
    while (index->n_buckets < n_entries)
        index->n_buckets *= 2;
    index->entries = calloc(n_entries + 1, sizeof(*index->entries));
    index->buckets = calloc(index->n_buckets, sizeof(*index->buckets));
    return index->entries == NULL || index->buckets == NULL ? -ENOMEM : 0;
}

/* Rules are added from the last one to the first one, so that the first one is found first. */
static void index_add(struct unreachable_index *index, uint64_t key, size_t rule) {
    struct unreachable_entry *entry = &index->entries[index->n_entries++];
    struct unreachable_entry **bucket = &index->buckets[key & (index->n_buckets - 1)];

    *entry = (struct unreachable_entry){.key = key, .rule = rule, .next = *bucket};
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

enum { ANY_SUBJECT = 'a', BEGINNING = 'b', END = 'e', MIDDLE = 'm', EVERYTHING = '*', MANY = 'n' };

static uint64_t combine_keys(uint64_t subject, uint64_t pattern) {
    return (subject ^ (pattern >> 32) ^ (pattern << 32)) * UINT64_C(0x100000001b3);
}

static char make_kind(const struct policy_pattern *pattern, char part) {
    return pattern->kind == POLICY_HOSTNAME ? part : (char)(part + 'A' - 'a');
}

static uint64_t make_pattern_key(const struct policy_pattern *pattern) {
    size_t beginning = pattern_get_beginning_length(pattern->text),
           end = pattern_get_end_length(pattern->text);

    if (beginning > 0)
        return make_key(make_kind(pattern, BEGINNING), pattern->text, beginning);
    return make_key(make_kind(pattern, end > 0 ? END : MIDDLE),
                    pattern->text + strlen(pattern->text) - end, end);
}

/* True if the rule is found by its subjects only: it would need too many entries. */
static bool has_many_parts(const struct policy_rule *rule) {
    enum { PARTS_MAX = 256 };

    return rule->n_subjects > 1 && rule->n_patterns > PARTS_MAX / rule->n_subjects;
}

static size_t count_entries(const struct policy_rule *rule) {
    size_t n_subjects = rule->is_any ? 1 : rule->n_subjects;

    return has_many_parts(rule) || rule_denies_everything(rule) ? n_subjects
                                                                : n_subjects * rule->n_patterns;
}

static void index_add_subject(struct unreachable_index *index, size_t number, uint64_t subject) {
    const struct policy_rule *rule = &index->policy->rules[number];

    if (rule_denies_everything(rule)) {
        index_add(index, combine_keys(subject, make_key(EVERYTHING, "", 0)), number);
        return;
    }
    if (has_many_parts(rule)) {
        index_add(index, combine_keys(subject, make_key(MANY, "", 0)), number);
        return;
    }
    for (size_t i = 0; i < rule->n_patterns; i++)
        index_add(index,
                  combine_keys(subject,
                               make_pattern_key(&index->policy->patterns[rule->first_pattern + i])),
                  number);
}

static void index_add_rule(struct unreachable_index *index, size_t number) {
    const struct policy_rule *rule = &index->policy->rules[number];

    if (rule->is_any)
        index_add_subject(index, number, make_key(ANY_SUBJECT, "", 0));
    for (size_t i = 0; i < rule->n_subjects; i++)
        index_add_subject(index, number,
                          make_subject_key(&index->policy->subjects[rule->first_subject + i]));
}

/* An earlier rule that covers a rule has one of its keys; these are at most 3 * 64 + 3. */
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
    keys[n++] = make_key(MANY, "", 0);
    if (rule->n_patterns == 0)
        return n;
    pattern = &policy->patterns[rule->first_pattern];
    beginning = pattern_get_beginning_length(pattern->text);
    end = pattern_get_end_length(pattern->text);
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
    end = pattern_get_end_length(label);
    for (size_t i = 1; i <= end && i <= NAME_LENGTH_MAX; i++)
        keys[n++] = make_key(make_kind(pattern, END), label + length - i, i);
    return n;
}

/* Returns the first rule before @first that has @key and covers @rule; else @first. */
static size_t find_by_key(const struct unreachable_index *index, const struct policy_rule *rule,
                          uint64_t key, size_t first) {
    const struct policy *policy = index->policy;
    const struct unreachable_entry *entry = index->buckets[key & (index->n_buckets - 1)];

    for (; entry != NULL && entry->rule < first; entry = entry->next)
        if (entry->key == key && subsumption_of_rule(policy, &policy->rules[entry->rule], rule))
            return entry->rule;
    return first;
}

/*
 * Returns the first of the rules before number @before that makes @rule, whose subjects and
 * patterns are the policy's, unreachable; NULL: none.
 */
const struct policy_rule *unreachable_index_find(const struct unreachable_index *index,
                                                 const struct policy_rule *rule, size_t before) {
    uint64_t subjects[2], patterns[KEYS_MAX];
    size_t n_subjects = make_subject_keys(index->policy, rule, subjects);
    size_t n_patterns = make_pattern_keys(index->policy, rule, patterns);
    size_t first = before;

    for (size_t i = 0; i < n_subjects; i++)
        for (size_t j = 0; j < n_patterns; j++)
            first = find_by_key(index, rule, combine_keys(subjects[i], patterns[j]), first);
    return first < before ? &index->policy->rules[first] : NULL;
}

/*
 * Indexes the rules of @policy, which must live longer. Returns 0 or -ENOMEM;
 * unreachable_index_deinit() frees in both cases.
 */
int unreachable_index_init(struct unreachable_index *index, const struct policy *policy) {
    size_t n_entries = 0;
    int r;

    for (size_t number = 0; number < policy->n_rules; number++)
        n_entries += count_entries(&policy->rules[number]);
    r = index_make_room(index, n_entries);
    index->policy = policy;
    for (size_t number = policy->n_rules; r == 0 && number-- > 0;)
        index_add_rule(index, number);
    return r;
}

/*
 * Sets @unreachable_by, which has an element for each rule of the policy, to the earlier rule that
 * makes the rule unreachable, or NULL.
 */
void unreachable_find_all(const struct unreachable_index *index,
                          const struct policy_rule **unreachable_by) {
    const struct policy *policy = index->policy;

    for (size_t number = 0; number < policy->n_rules; number++)
        unreachable_by[number] = unreachable_index_find(index, &policy->rules[number], number);
}
