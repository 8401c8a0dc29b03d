#include "policy/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/name-pattern.h"

/* Returns @array with room for one more element, or NULL. Doubling keeps the total cost linear. */
static void *array_make_room(void *array, size_t n, size_t *roomp, size_t element_size) {
    size_t room = *roomp == 0 ? 16 : *roomp * 2;

    if (n < *roomp)
        return array;
    array = reallocarray(array, room, element_size);
    if (array != NULL)
        *roomp = room;
    return array;
}

/* Appends a copy of @rule. Returns 0 or -ENOMEM; so do the next three functions. */
int policy_add_rule(struct policy *policy, const struct policy_rule *rule) {
    struct policy_rule *rules =
        array_make_room(policy->rules, policy->n_rules, &policy->rules_room, sizeof(*rules));

    if (rules == NULL)
        return -ENOMEM;
    policy->rules = rules;
    rules[policy->n_rules++] = *rule;
    return 0;
}

/* Appends a copy of @subject; its name must live as long as the policy. */
int policy_add_subject(struct policy *policy, const struct policy_subject *subject) {
    struct policy_subject *subjects = array_make_room(policy->subjects, policy->n_subjects,
                                                      &policy->subjects_room, sizeof(*subjects));

    if (subjects == NULL)
        return -ENOMEM;
    policy->subjects = subjects;
    subjects[policy->n_subjects++] = *subject;
    return 0;
}

/* Returns @c in lower case, if all names that match have it here; '\0': it is, or ends, a wildcard.
 */
static char edge_get_char(char c) {
    return c == '*' || c == '?' || c == '[' || c == ']' ? '\0' : name_char_to_lower(c);
}

/* Appends a copy of @pattern, with its edges; its text must live as long as the policy. */
int policy_add_pattern(struct policy *policy, const struct policy_pattern *pattern) {
    struct policy_pattern *patterns = array_make_room(policy->patterns, policy->n_patterns,
                                                      &policy->patterns_room, sizeof(*patterns));

    if (patterns == NULL)
        return -ENOMEM;
    policy->patterns = patterns;
    patterns[policy->n_patterns] = *pattern;
    patterns[policy->n_patterns].first = edge_get_char(pattern->text[0]);
    patterns[policy->n_patterns].last =
        pattern->text[0] == '\0' ? '\0' : edge_get_char(pattern->text[strlen(pattern->text) - 1]);
    policy->n_patterns++;
    return 0;
}

/* Takes over @text, which is freed by free(3) with the policy. On error the caller keeps it. */
int policy_adopt_text(struct policy *policy, char *text) {
    char **texts =
        array_make_room(policy->texts, policy->n_texts, &policy->texts_room, sizeof(*texts));

    if (texts == NULL)
        return -ENOMEM;
    policy->texts = texts;
    texts[policy->n_texts++] = text;
    return 0;
}

/* Frees what @policy holds; afterwards it is empty and can be used again. */
void policy_deinit(struct policy *policy) {
    for (size_t i = 0; i < policy->n_texts; i++)
        free(policy->texts[i]);
    free(policy->texts);
    free(policy->patterns);
    free(policy->subjects);
    free(policy->rules);
    *policy = (struct policy)POLICY_NULL;
}
