#include "policy/range-patterns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/range-expansion.h"

/* Counts up to @max patterns and one more, and their bytes. */
static size_t count_patterns(const char *word, bool with_sets, size_t max, size_t *sizep) {
    char text[RANGE_TEXT_MAX + 1];
    struct range_expansion expansion;
    size_t n = 0, length;
    bool is_set;

    *sizep = 0;
    range_expansion_begin(&expansion, word, with_sets);
    while (n <= max && (length = range_expansion_next(&expansion, text, &is_set)) > 0) {
        *sizep += length + 1;
        n++;
    }
    return n;
}

/*
 * Appends the patterns that the ranges of @word->written make, and adds their number to
 * *@n_patternsp, which is of the whole rule. @with_sets: also those of ranges that are read as
 * sets. Returns 0; -ENOMEM; -E2BIG: this would be more than RANGE_PATTERNS_MAX, and none is added.
 */
int range_patterns_add(struct policy *policy, const struct policy_pattern *word, bool with_sets,
                       size_t *n_patternsp) {
    struct policy_pattern pattern = *word;
    char text[RANGE_TEXT_MAX + 1], *texts;
    struct range_expansion expansion;
    size_t size, length, n;
    int r;

    n = count_patterns(word->written, with_sets, RANGE_PATTERNS_MAX - *n_patternsp, &size);
    if (n > RANGE_PATTERNS_MAX - *n_patternsp)
        return -E2BIG;
    texts = malloc(size);
    if (texts == NULL)
        return -ENOMEM;
    r = policy_adopt_text(policy, texts);
    if (r < 0) {
        free(texts);
        return r;
    }
    range_expansion_begin(&expansion, word->written, with_sets);
    while ((length = range_expansion_next(&expansion, text, &pattern.is_set)) > 0) {
        pattern.text = memcpy(texts, text, length + 1);
        texts += length + 1;
        r = policy_add_pattern(policy, &pattern);
        if (r < 0)
            return r;
    }
    *n_patternsp += n;
    return 0;
}
