#include "policy/lint/pattern-index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/lint/pattern-edges.h"
#include "utsbroker/base.h"

/*
 * Two patterns match a common name only if the fixed beginning of one begins the other's, which may
 * have none, and the same holds for their ends. So in a list that is sorted by beginnings, those
 * that can match are in few ranges: one for each length of a shorter or equal beginning, and the
 * range of all longer ones.
 */

static uint64_t get_bit(char c) {
    return UINT64_C(1) << ((unsigned char)name_char_to_lower(c) % 64);
}

static struct pattern_index_chars get_chars(const char *pattern) {
    struct pattern_index_chars chars = {0};

    for (; *pattern != '\0'; pattern = pattern_skip_element(pattern)) {
        if (strchr("*?", *pattern) != NULL)
            chars.possible = UINT64_MAX;
        else if (*pattern != '[')
            chars.needed |= get_bit(*pattern);
        for (char c = ' '; *pattern == '[' && c <= '~'; c++) {
            const char *element = pattern;

            if (pattern_match_element(&element, c))
                chars.possible |= get_bit(c);
        }
    }
    chars.possible |= chars.needed;
    return chars;
}

static unsigned char get_char(bool is_end, const char *text, size_t length, size_t i) {
    return (unsigned char)name_char_to_lower(is_end ? text[length - 1 - i] : text[i]);
}

static int rule_compare(const void *a, const void *b) {
    const struct pattern_index_entry *left = a, *right = b;

    if (left->rule != right->rule)
        return left->rule < right->rule ? -1 : 1;
    return (left->pattern > right->pattern) - (left->pattern < right->pattern);
}

static int text_compare(bool is_end, const struct pattern_index_entry *left,
                        const struct pattern_index_entry *right) {
    for (size_t i = 0; i < left->length && i < right->length; i++) {
        int order = get_char(is_end, left->text, left->length, i) -
                    get_char(is_end, right->text, right->length, i);

        if (order != 0)
            return order;
    }
    if (left->length != right->length)
        return left->length < right->length ? -1 : 1;
    return rule_compare(left, right);
}

static int beginning_compare(const void *a, const void *b) {
    return text_compare(false, a, b);
}

static int end_compare(const void *a, const void *b) {
    return text_compare(true, a, b);
}

static void index_add(struct pattern_index *index, const struct policy_pattern *pattern,
                      size_t rule) {
    size_t beginning = pattern_get_beginning_length(pattern->text),
           end = pattern_get_end_length(pattern->text);
    struct pattern_index_entry entry = {
        .pattern = pattern, .rule = rule, .text = pattern->text, .chars = get_chars(pattern->text)};
    struct pattern_index_side *side = &index->sides[pattern->kind][PATTERN_INDEX_REST];

    if (beginning > 0) {
        side = &index->sides[pattern->kind][PATTERN_INDEX_BEGINNING];
        entry.length = beginning;
    } else if (end > 0) {
        side = &index->sides[pattern->kind][PATTERN_INDEX_END];
        entry.text += strlen(pattern->text) - end;
        entry.length = end;
    }
    side->by_rule[side->n++] = entry;
}

/* Sorts the side by text; by rule it is sorted already. */
static int side_sort(struct pattern_index_side *side, bool is_end) {
    side->is_end = is_end;
    side->by_text = calloc(side->n + 1, sizeof(*side->by_text));
    if (side->by_text == NULL)
        return -ENOMEM;
    if (side->n == 0)
        return 0;
    memcpy(side->by_text, side->by_rule, side->n * sizeof(*side->by_text));
    qsort(side->by_text, side->n, sizeof(*side->by_text), is_end ? end_compare : beginning_compare);
    return 0;
}

/* The patterns of permit rules for everybody. */
bool pattern_index_is_for_any(const struct policy_rule *rule,
                              const struct policy_pattern *pattern) {
    (void)pattern;
    return rule->action == POLICY_PERMIT && rule->is_any;
}

/* The patterns of all other permit rules. */
bool pattern_index_is_for_some(const struct policy_rule *rule,
                               const struct policy_pattern *pattern) {
    (void)pattern;
    return rule->action == POLICY_PERMIT && !rule->is_any;
}

/*
 * Indexes the patterns of @policy for which @filter is true. Returns 0 or -ENOMEM;
 * pattern_index_deinit() frees in both cases.
 */
int pattern_index_init(struct pattern_index *index, const struct policy *policy,
                       pattern_index_filter filter) {
    *index = (struct pattern_index){0};
    for (int kind = 0; kind < 2; kind++)
        for (int i = 0; i < PATTERN_INDEX_SIDES; i++) {
            struct pattern_index_side *side = &index->sides[kind][i];

            side->by_rule = calloc(policy->n_patterns + 1, sizeof(*side->by_rule));
            if (side->by_rule == NULL)
                return -ENOMEM;
        }
    for (size_t i = 0; i < policy->n_rules; i++) {
        const struct policy_rule *rule = &policy->rules[i];

        for (size_t j = 0; j < rule->n_patterns; j++)
            if (filter(rule, &policy->patterns[rule->first_pattern + j]))
                index_add(index, &policy->patterns[rule->first_pattern + j], i);
    }
    for (int kind = 0; kind < 2; kind++)
        for (int i = 0; i < PATTERN_INDEX_SIDES; i++)
            if (side_sort(&index->sides[kind][i], i == PATTERN_INDEX_END) < 0)
                return -ENOMEM;
    return 0;
}

/* Frees what @index holds. */
void pattern_index_deinit(struct pattern_index *index) {
    for (int kind = 0; kind < 2; kind++)
        for (int i = 0; i < PATTERN_INDEX_SIDES; i++) {
            free(index->sides[kind][i].by_rule);
            free(index->sides[kind][i].by_text);
        }
    *index = (struct pattern_index){0};
}

/*
 * Returns the first entry of the range from @low to @high whose character @i is @c or greater.
 * Shorter entries come first.
 */
static size_t find_char(const struct pattern_index_side *side, size_t low, size_t high, size_t i,
                        int c) {
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct pattern_index_entry *entry = &side->by_text[middle];

        if (entry->length <= i || get_char(side->is_end, entry->text, entry->length, i) < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void result_add(struct pattern_index_result *result,
                       const struct pattern_index_entry *entries, size_t n, bool is_by_rule) {
    if (n == 0 || result->n_parts == BASE_ARRAY_SIZE(result->parts))
        return;
    result->parts[result->n_parts].entries = entries;
    result->parts[result->n_parts].n = n;
    result->parts[result->n_parts++].is_by_rule = is_by_rule;
}

/* Adds the entries whose part can meet @text, the same part of another pattern. */
static void side_find(const struct pattern_index_side *side, const char *text, size_t length,
                      struct pattern_index_result *result) {
    size_t low = 0, high = side->n;

    if (length == 0) {
        result_add(result, side->by_rule, side->n, true);
        return;
    }
    for (size_t i = 0; i < length && i <= NAME_LENGTH_MAX && low < high; i++) {
        unsigned char c = get_char(side->is_end, text, length, i);
        size_t longer = find_char(side, low, high, i, 0);

        /* They are of one length and equal so far, so they are sorted by rule. */
        result_add(result, &side->by_text[low], longer - low, true);
        low = find_char(side, longer, high, i, c);
        high = find_char(side, low, high, i, c + 1);
    }
    result_add(result, &side->by_text[low], high - low, false);
}

/*
 * Sets @result to the patterns of this kind that can match a name that @pattern matches, and maybe
 * some that cannot. A pattern that begins or ends with more than the 64 bytes of a name can match
 * none, and may be left out. @result is valid as long as @index.
 */
void pattern_index_find(const struct pattern_index *index, enum policy_name_kind kind,
                        const char *pattern, struct pattern_index_result *result) {
    const struct pattern_index_side *sides = index->sides[kind];
    size_t end = pattern_get_end_length(pattern);

    result->n_parts = 0;
    result->chars = get_chars(pattern);
    result_add(result, sides[PATTERN_INDEX_REST].by_rule, sides[PATTERN_INDEX_REST].n, true);
    side_find(&sides[PATTERN_INDEX_BEGINNING], pattern, pattern_get_beginning_length(pattern),
              result);
    side_find(&sides[PATTERN_INDEX_END], pattern + strlen(pattern) - end, end, result);
}

/* False if one needs a character that the other cannot match: a quick check. */
bool pattern_index_can_meet(const struct pattern_index_result *result,
                            const struct pattern_index_entry *entry) {
    return (result->chars.needed & ~entry->chars.possible) == 0 &&
           (entry->chars.needed & ~result->chars.possible) == 0;
}
