#include "policy/rule-key.h"

/* FNV-1a, 64 bits: rules are the administrator's, so nobody who would gain by it chooses them. */
static uint64_t hash_begin(void) {
    return UINT64_C(0xcbf29ce484222325);
}

static uint64_t hash_add(uint64_t hash, unsigned char byte) {
    return (hash ^ byte) * UINT64_C(0x100000001b3);
}

static uint64_t hash_add_number(uint64_t hash, uint32_t number) {
    for (int i = 0; i < 4; i++)
        hash = hash_add(hash, (unsigned char)(number >> 8 * i));
    return hash;
}

/* Adds a string. Patterns ignore case, names of users and groups do not. */
static uint64_t hash_add_text(uint64_t hash, const char *text, bool ignores_case) {
    for (; *text != '\0'; text++) {
        bool is_upper = *text >= 'A' && *text <= 'Z';

        hash = hash_add(hash, (unsigned char)(ignores_case && is_upper ? *text + 32 : *text));
    }
    return hash;
}

/* MurmurHash3's last step. Without it the sums of FNV's are equal for similar texts: node1 and
 * node4 give the sum of node2 and node3. */
static uint64_t hash_end(uint64_t hash) {
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

static uint64_t subject_hash(const struct policy_subject *subject) {
    uint64_t hash = hash_add(hash_add(hash_begin(), (unsigned char)(subject->kind * 2)),
                             (unsigned char)subject->is_id);

    return hash_end(subject->is_id ? hash_add_number(hash, subject->id)
                                   : hash_add_text(hash, subject->name, false));
}

static uint64_t pattern_hash(const struct policy_pattern *pattern) {
    uint64_t hash = hash_add(hash_begin(), (unsigned char)(0x80 + pattern->kind));

    return hash_end(hash_add_text(hash, pattern->text, true));
}

/*
 * Digests subjects, patterns and `setuid` of @rule, without its place, its limit and the order in
 * which they are written: so a command stays counted for its rule when the administrator moves the
 * rule or changes its limit. A host range counts as the patterns that it makes: node[01-16] is the
 * same as node0[1-9] node1[0-6]. Never 0. Allocates nothing and makes no system call.
 */
uint64_t rule_key_make(const struct policy *policy, const struct policy_rule *rule) {
    uint64_t key = (uint64_t)rule->is_any + 2 * (uint64_t)rule->is_setuid + 4;

    /* A sum is the same in each order. */
    for (size_t i = 0; i < rule->n_subjects; i++)
        key += subject_hash(&policy->subjects[rule->first_subject + i]);
    for (size_t i = 0; i < rule->n_patterns; i++)
        key += pattern_hash(&policy->patterns[rule->first_pattern + i]);
    return key != 0 ? key : 1;
}
