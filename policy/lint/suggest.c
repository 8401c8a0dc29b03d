#include "policy/lint/suggest.h"

#include <string.h>

#include "policy/lint/contradiction.h"
#include "policy/name-pattern.h"

enum { COLUMNS = NAME_LENGTH_MAX + 1 };

static unsigned smallest(unsigned a, unsigned b, unsigned c) {
    unsigned least = a < b ? a : b;

    return least < c ? least : c;
}

/*
 * Returns how many characters of @name must be inserted, removed or replaced until @pattern
 * matches: the Levenshtein distance, in which the characters that a star matches cost nothing.
 */
static unsigned get_distance(const char *pattern, const char *name) {
    unsigned before[COLUMNS + 1], now[COLUMNS + 1];
    size_t length = strnlen(name, NAME_LENGTH_MAX);

    for (size_t i = 0; i <= length; i++)
        before[i] = (unsigned)i;
    for (const char *next; *pattern != '\0'; pattern = next) {
        bool is_star = *pattern == '*';

        next = pattern_skip_element(pattern);
        now[0] = before[0] + (is_star ? 0 : 1);
        for (size_t i = 1; i <= length; i++) {
            const char *element = pattern;
            unsigned changed =
                before[i - 1] + (pattern_match_element(&element, name[i - 1]) ? 0 : 1);

            now[i] = is_star ? smallest(before[i], now[i - 1], before[i - 1])
                             : smallest(changed, before[i] + 1, now[i - 1] + 1);
        }
        memcpy(before, now, sizeof(before));
    }
    return before[length];
}

static enum decision_verdict decide(const struct selection *selection, enum policy_name_kind kind,
                                    const char *name) {
    bool is_host = kind == POLICY_HOSTNAME;

    return selection_decide(selection, is_host ? name : NULL, is_host ? NULL : name).verdict;
}

/*
 * True if the subject is permitted to use the names of @pattern, which is in a permit rule for
 * them. False if an earlier rule denies a name that is spelled out, or if a wildcard matches
 * nothing.
 */
static bool is_permitted(const struct selection *selection, const struct policy_pattern *pattern) {
    char invalid;

    if (pattern->is_wildcard)
        return contradiction_find(pattern->text, &invalid) == NULL;
    return decide(selection, pattern->kind, pattern->text) == DECISION_PERMITTED;
}

struct nearest {
    const char *name;
    bool is_denied; /* by a rule, or by none, though it is a valid host name */
    const char **patterns;
    unsigned distances[16];
    size_t n, max;
};

static void nearest_add(struct nearest *nearest, const char *pattern, unsigned far) {
    size_t at = nearest->n;

    for (size_t i = 0; i < nearest->n; i++)
        if (strcmp(nearest->patterns[i], pattern) == 0)
            return;
    while (at > 0 && nearest->distances[at - 1] > far)
        at--;
    if (at == nearest->max)
        return;
    if (nearest->n < nearest->max)
        nearest->n++;
    for (size_t i = nearest->n - 1; i > at; i--) {
        nearest->patterns[i] = nearest->patterns[i - 1];
        nearest->distances[i] = nearest->distances[i - 1];
    }
    nearest->patterns[at] = pattern;
    nearest->distances[at] = far;
}

/* Returns the number of patterns that the word of pattern @first of @rule makes. */
static size_t count_patterns_of_word(const struct policy *policy, const struct policy_rule *rule,
                                     size_t first) {
    const struct policy_pattern *patterns = &policy->patterns[rule->first_pattern];
    size_t n = 1;

    while (first + n < rule->n_patterns && patterns[first + n].written == patterns[first].written)
        n++;
    return n;
}

/*
 * Adds the word of the @n patterns at @word, unless it is not permitted. A word that matches the
 * name, which is denied nevertheless, does not help; but it is what was meant if the name is
 * permitted, or only no valid host name.
 */
static void nearest_add_word(struct nearest *nearest, const struct selection *selection,
                             const struct policy_pattern *word, size_t n) {
    unsigned far = NAME_LENGTH_MAX + 1, distance;
    bool is_any_permitted = false;

    for (size_t i = 0; i < n; i++) {
        if (nearest->is_denied && pattern_matches(word[i].text, nearest->name))
            return;
        distance = get_distance(word[i].text, nearest->name);
        far = distance < far ? distance : far;
    }
    /* A decision looks at each rule, so it is made only of what is near enough. */
    if (nearest->n == nearest->max && far >= nearest->distances[nearest->n - 1])
        return;
    for (size_t i = 0; i < n && !is_any_permitted; i++)
        is_any_permitted = is_permitted(selection, &word[i]);
    if (is_any_permitted)
        nearest_add(nearest, word->written, far);
}

/*
 * Fills @patterns with up to @max (at most 16) patterns of @kind, as they are written, that permit
 * the subject some name, the nearest to @name first. Returns their number. The texts belong to the
 * policy.
 */
size_t suggest_patterns(const struct selection *selection, enum policy_name_kind kind,
                        const char *name, const char **patterns, size_t max) {
    const struct policy *policy = selection->policy;
    struct nearest nearest = {.name = name,
                              .is_denied = decide(selection, kind, name) == DECISION_DENIED,
                              .patterns = patterns,
                              .max = max < 16 ? max : 16};

    for (size_t i = 0; i < selection->n_rules && nearest.max > 0; i++) {
        const struct policy_rule *rule = selection->rules[i].rule;

        for (size_t j = 0, n; rule->action == POLICY_PERMIT && j < rule->n_patterns; j += n) {
            const struct policy_pattern *word = &policy->patterns[rule->first_pattern + j];

            n = count_patterns_of_word(policy, rule, j);
            if (word->kind == kind)
                nearest_add_word(&nearest, selection, word, n);
        }
    }
    return nearest.n;
}
