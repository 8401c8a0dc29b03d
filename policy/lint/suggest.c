#include "policy/lint/suggest.h"

#include <string.h>

#include "policy/lint/contradiction.h"
#include "policy/name-pattern.h"

enum { COLUMNS = NAME_LENGTH_MAX + 1 };

/* True if the first element of @pattern, a character, a set or `?`, matches @c. */
static bool element_matches(const char *pattern, char c) {
    char element[NAME_LENGTH_MAX * 4 + 1], character[2] = {c, '\0'};
    const char *end = *pattern == '[' ? strchr(pattern, ']') : NULL;
    size_t length = end != NULL ? (size_t)(end - pattern) + 1 : 1;

    if (length >= sizeof(element))
        return false;
    memcpy(element, pattern, length);
    element[length] = '\0';
    return pattern_matches(element, character);
}

static const char *element_end(const char *pattern) {
    const char *end = *pattern == '[' ? strchr(pattern, ']') : NULL;

    return (end != NULL ? end : pattern) + 1;
}

static unsigned smallest(unsigned a, unsigned b, unsigned c) {
    unsigned least = a < b ? a : b;

    return least < c ? least : c;
}

/*
 * How many characters must be put in, left out or changed until @pattern matches @name:
 * Levenshtein's distance, in which a star takes what it gets for nothing.
 */
static unsigned distance(const char *pattern, const char *name) {
    unsigned before[COLUMNS + 1], now[COLUMNS + 1];
    size_t length = strnlen(name, NAME_LENGTH_MAX);

    for (size_t i = 0; i <= length; i++)
        before[i] = (unsigned)i;
    for (; *pattern != '\0'; pattern = element_end(pattern)) {
        bool is_star = *pattern == '*';

        now[0] = before[0] + (is_star ? 0 : 1);
        for (size_t i = 1; i <= length; i++) {
            unsigned changed = before[i - 1] + (element_matches(pattern, name[i - 1]) ? 0 : 1);

            now[i] = is_star ? smallest(before[i], now[i - 1], before[i - 1])
                             : smallest(changed, before[i] + 1, now[i - 1] + 1);
        }
        memcpy(before, now, sizeof(before));
    }
    return before[length];
}

/*
 * True if the subject may have what @pattern of a permit rule of theirs stands for: a name that is
 * spelled out may be denied by a rule before, a wildcard may match nothing.
 */
bool suggest_is_had(const struct selection *selection, const struct policy_pattern *pattern) {
    bool is_host = pattern->kind == POLICY_HOSTNAME;
    char culprit;

    if (pattern->is_wildcard)
        return contradiction_find(pattern->text, &culprit) == NULL;
    return selection_decide(selection, is_host ? pattern->text : NULL,
                            is_host ? NULL : pattern->text)
               .verdict == DECISION_PERMITTED;
}

struct nearest {
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

/*
 * Puts into @patterns up to @max (at most 16) patterns by which the subject may have names of
 * @kind, those first that are nearest to @name. Returns how many. They are the policy's.
 */
size_t suggest_patterns(const struct selection *selection, enum policy_name_kind kind,
                        const char *name, const char **patterns, size_t max) {
    struct nearest nearest = {.patterns = patterns, .max = max < 16 ? max : 16};

    for (size_t i = 0; i < selection->n_rules && nearest.max > 0; i++) {
        const struct policy_rule *rule = selection->rules[i].rule;

        if (rule->action == POLICY_DENY)
            continue;
        for (size_t j = 0; j < rule->n_patterns; j++) {
            const struct policy_pattern *pattern =
                &selection->policy->patterns[rule->first_pattern + j];

            /* One that matches, and does not give it, is not what was meant. */
            if (pattern->kind == kind && !pattern_matches(pattern->text, name) &&
                suggest_is_had(selection, pattern))
                nearest_add(&nearest, pattern->text, distance(pattern->text, name));
        }
    }
    return nearest.n;
}
