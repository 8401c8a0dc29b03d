#include "broker/service/counters.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utsbroker/base.h"

/* The rule's subjects and patterns as text, without its line and its limit. NULL: no memory. */
static char *rule_describe(const struct policy *policy, const struct policy_rule *rule) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int failed;

    if (out == NULL)
        return NULL;
    (void)fprintf(out, "any=%d setuid=%d", rule->is_any, rule->is_setuid);
    for (size_t i = 0; i < rule->n_subjects; i++) {
        const struct policy_subject *subject = &policy->subjects[rule->first_subject + i];

        if (subject->is_id)
            (void)fprintf(out, "\n%d id %u", (int)subject->kind, (unsigned)subject->id);
        else
            (void)fprintf(out, "\n%d name %s", (int)subject->kind, subject->name);
    }
    for (size_t i = 0; i < rule->n_patterns; i++) {
        const struct policy_pattern *pattern = &policy->patterns[rule->first_pattern + i];

        (void)fprintf(out, "\n%d=%s", (int)pattern->kind, pattern->text);
    }
    failed = ferror(out);
    if (fclose(out) != 0 || failed != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* Finds the counter of @meaning, or makes one. Takes over @meaning. */
static int counter_find(struct counters *counters, char *meaning, size_t *counterp) {
    struct counter *list;

    for (size_t i = 0; i < counters->n; i++) {
        if (strcmp(counters->list[i].meaning, meaning) == 0) {
            free(meaning);
            *counterp = i;
            return 0;
        }
    }
    list = reallocarray(counters->list, counters->n + 1, sizeof(*list));
    if (list == NULL) {
        free(meaning);
        return -ENOMEM;
    }
    counters->list = list;
    list[counters->n] = (struct counter){.meaning = meaning};
    *counterp = counters->n++;
    return 0;
}

/*
 * Counts by the rules of @policy from now on. Live commands stay counted. Only for a policy without
 * errors. Returns 0 or -ENOMEM.
 */
int counters_adopt(struct counters *counters, const struct policy *policy) {
    size_t *of_rule = calloc(policy->n_rules + 1, sizeof(*of_rule));

    if (of_rule == NULL)
        return -ENOMEM;
    free(counters->of_rule);
    counters->of_rule = of_rule;
    for (size_t i = 0; i < counters->n; i++)
        counters->list[i].limit = 0;
    for (size_t i = 0; i < policy->n_rules; i++) {
        const struct policy_rule *rule = &policy->rules[i];
        char *meaning;
        int r;

        if (rule->limit == 0)
            continue;
        meaning = rule_describe(policy, rule);
        r = meaning != NULL ? counter_find(counters, meaning, &of_rule[i]) : -ENOMEM;
        if (r < 0)
            return r;
        /* Of two rules with the same meaning, only the first decides. */
        if (counters->list[of_rule[i]].limit == 0)
            counters->list[of_rule[i]].limit = rule->limit;
    }
    return 0;
}

/*
 * Counts one more command for counter number @counter, which need not be a valid number. Returns 0;
 * COUNTERS_E_REACHED if the limit is reached, or no rule has this meaning any more; -EINVAL if
 * there is no such counter.
 */
int counters_take(struct counters *counters, size_t counter) {
    if (counter >= counters->n)
        return -EINVAL;
    if (counters->list[counter].n_live >= counters->list[counter].limit)
        return COUNTERS_E_REACHED;
    counters->list[counter].n_live++;
    return 0;
}

/* A command that was counted for @counter has ended. */
void counters_give_back(struct counters *counters, size_t counter) {
    counters->list[counter].n_live--;
}

/* Frees what @counters holds. It is empty afterwards. */
void counters_deinit(struct counters *counters) {
    for (size_t i = 0; i < counters->n; i++)
        free(counters->list[i].meaning);
    free(counters->list);
    free(counters->of_rule);
    *counters = (struct counters)COUNTERS_NULL;
}
