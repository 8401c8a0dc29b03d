#include "policy/lint/habits.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy/host-range.h"
#include "policy/lint/print.h"
#include "policy/lint/warn.h"
#include "policy/name-pattern.h"

/* A rule, and where its warnings go. */
struct habits {
    const struct policy *policy;
    const struct policy_rule *rule;
    struct warning_sink sink;
    unsigned patience; /* comparisons of two patterns that are left */
};

static size_t count_digits(const char *at) {
    return strspn(at, "0123456789");
}

/* Compares two numbers of any length. */
static bool number_is_less(const char *a, size_t a_length, const char *b, size_t b_length) {
    for (; a_length > 1 && *a == '0'; a_length--)
        a++;
    for (; b_length > 1 && *b == '0'; b_length--)
        b++;
    return a_length != b_length ? a_length < b_length : memcmp(a, b, a_length) < 0;
}

/*
 * A range without brackets, such as node01-16: a label that ends with two numbers, the second
 * larger than the first. ip-10-0-0-1 is none: it has more numbers.
 */
static bool warn_of_range(const struct habits *habits, const struct policy_pattern *pattern) {
    const char *word = pattern->written;

    for (const char *at = word; *at != '\0'; at++) {
        size_t low = count_digits(at), high;
        bool is_number =
            at > word && (name_char_is_digit(at[-1]) ||
                          (at[-1] == '-' && at - word > 1 && name_char_is_digit(at[-2])));

        if (low == 0 || at[low] != '-' || is_number || strchr(word, '[') != NULL)
            continue;
        high = count_digits(at + low + 1);
        if (high == 0 || (at[low + 1 + high] != '\0' && at[low + 1 + high] != '.') ||
            !number_is_less(at, low, at + low + 1, high))
            continue;
        warn(&habits->sink, "range", pattern->line, pattern->column,
             "%.60s is one name, not a range: for a range write %.*s[%.*s-%.*s]%.20s", word,
             (int)(at - word < 40 ? at - word : 40), word, (int)low, at, (int)high, at + low + 1,
             at + low + 1 + high);
        return true;
    }
    return false;
}

/* A set such as [12], by which Slurm and pdsh mean the number 12. */
static bool warn_of_set(const struct habits *habits, const struct policy_pattern *pattern) {
    char list[2 * 10 + 1];
    const char *word = pattern->written, *set = word;
    size_t n, before, n_shown;

    while (*set != '\0' && !host_range_is_lone_number(set))
        set = pattern_skip_element(set);
    n = *set != '\0' ? count_digits(set + 1) : 0;
    if (n == 0)
        return false;
    n_shown = n < 10 ? n : 10; /* a set has no character twice */
    for (size_t i = 0; i < n_shown; i++)
        (void)snprintf(list + 2 * i, 3, "%c,", set[1 + i]);
    list[2 * n_shown - 1] = '\0';
    before = (size_t)(set - word) < 30 ? (size_t)(set - word) : 30;
    warn(&habits->sink, "set", pattern->line, pattern->column + (unsigned)(set - word),
         "[%.*s] is a set of single digits, by which Slurm means the number %.*s: write "
         "%.*s[%s]%.20s or %.*s%.*s%.20s",
         (int)n, set + 1, (int)n, set + 1, (int)before, word, list, set + n + 2, (int)before, word,
         (int)n, set + 1, set + n + 2);
    return true;
}

/* A network: patterns know no addresses. */
static bool warn_of_address(const struct habits *habits, const struct policy_pattern *pattern) {
    const char *word = pattern->written;
    size_t n_dots = 0;

    for (const char *at = word; *at != '\0'; at++) {
        if (!name_char_is_digit(*at) && strchr(".*?", *at) == NULL)
            return false;
        n_dots += *at == '.';
    }
    if (!name_char_is_digit(word[0]) || n_dots == 0 || (n_dots < 3 && !pattern->is_wildcard))
        return false;
    warn(&habits->sink, "address", pattern->line, pattern->column,
         "%.60s is compared with host names, not with addresses: write names", word);
    return true;
}

/* True if another pattern of the rule is the first @length bytes of @pattern, or after too long. */
static bool has_beginning(struct habits *habits, const struct policy_pattern *pattern,
                          size_t length) {
    for (size_t i = 0; i < habits->rule->n_patterns; i++) {
        const struct policy_pattern *other =
            &habits->policy->patterns[habits->rule->first_pattern + i];

        if (habits->patience == 0)
            return true;
        habits->patience--;
        if (other->kind == pattern->kind &&
            strncasecmp(other->written, pattern->written, length) == 0 &&
            other->written[length] == '\0')
            return true;
    }
    return false;
}

/*
 * A regular expression such as node.*, which as a pattern is node in every domain. Who means that
 * also writes node, or begins with a star.
 */
static bool warn_of_regexp(struct habits *habits, const struct policy_pattern *pattern) {
    const char *word = pattern->written, *found = strstr(word, ".*");
    bool is_deny = habits->rule->action == POLICY_DENY && pattern->kind == POLICY_HOSTNAME;
    size_t length = found != NULL ? (size_t)(found - word) : 0;
    int shown = (int)(length < 20 ? length : 20);

    if (length == 0 || word[0] == '*' || strchr("*?-", found[-1]) != NULL || found[2] == '.' ||
        (found[2] == '\0' && has_beginning(habits, pattern, length)))
        return false;
    if (found[2] != '\0')
        warn(&habits->sink, "regexp", pattern->line, pattern->column,
             "%.60s has a dot before the *, which matches a dot only: patterns are not regular "
             "expressions; for any characters write *",
             word);
    else
        warn(&habits->sink, "regexp", pattern->line, pattern->column,
             "%.*s.* matches %.*s.test, but not %.*s1: write %.*s* for all names that begin so, or "
             "%.*s%s%.*s%s for this host in every domain",
             shown, word, shown, word, shown, word, shown, word, shown, word, is_deny ? "" : " ",
             is_deny ? 0 : shown, word, is_deny ? "" : ".*");
    return true;
}

static void check_pattern(struct habits *habits, const struct policy_pattern *pattern) {
    (void)(warn_of_address(habits, pattern) || warn_of_range(habits, pattern) ||
           warn_of_set(habits, pattern) || warn_of_regexp(habits, pattern));
}

/* Names are compared with case, but the name of root is known. */
static void check_subject(const struct habits *habits, const struct policy_subject *subject) {
    if (!subject->is_id && subject->kind == POLICY_USER && strcasecmp(subject->name, "root") == 0 &&
        strcmp(subject->name, "root") != 0)
        warn(&habits->sink, "case", subject->line, subject->column,
             "%s is not root: the names of users have upper case and lower case; write root",
             subject->name);
}

/* Reports, as warnings, the words of @rule that are likely to mean something else. */
void habits_find(const struct policy *policy, const struct policy_rule *rule, policy_report report,
                 void *context) {
    struct habits habits = {.policy = policy,
                            .rule = rule,
                            .sink = {.report = report, .context = context, .file = rule->file},
                            .patience = 1000000};

    for (size_t i = 0; i < rule->n_subjects; i++)
        check_subject(&habits, &policy->subjects[rule->first_subject + i]);
    for (size_t i = 0; i < rule->n_patterns; i++)
        if (!print_is_same_word(policy, rule, i))
            check_pattern(&habits, &policy->patterns[rule->first_pattern + i]);
}
