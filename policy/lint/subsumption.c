#include "policy/lint/subsumption.h"

#include <string.h>

#include "policy/decision.h"
#include "policy/name-pattern.h"
#include "utsbroker/base.h"

/* Elements of patterns (name-pattern.h) are passed as pointers to their first byte. */
static bool is_same_element(const char *a, const char *b) {
    size_t length = (size_t)(pattern_skip_element(a) - a);

    if (length != (size_t)(pattern_skip_element(b) - b))
        return false;
    for (size_t i = 0; i < length; i++)
        if (name_char_to_lower(a[i]) != name_char_to_lower(b[i]))
            return false;
    return true;
}

/* Names have no other characters than printable ASCII. */
static bool set_covers(const char *wide, const char *narrow) {
    for (char c = ' '; c <= '~'; c++) {
        const char *element = wide, *other = narrow;

        if (pattern_match_element(&other, c) && !pattern_match_element(&element, c))
            return false;
    }
    return true;
}

/* True if each character that @narrow matches is one that @wide, which is not a star, matches. */
static bool element_covers(const char *wide, const char *narrow) {
    if (*narrow == '*')
        return false;
    if (*wide == '?' || is_same_element(wide, narrow))
        return true;
    if (*wide != '[' || *narrow == '?')
        return false;
    return *narrow == '[' ? set_covers(wide, narrow) : pattern_match_element(&wide, *narrow);
}

/*
 * True if @wide matches every name that @narrow matches. True is certain; if both patterns have
 * more than one star, false may be wrong. The algorithm is that of pattern_matches(), with the
 * elements of @narrow in the place of a name's characters.
 */
bool subsumption_of_pattern(const char *wide, const char *narrow) {
    const char *after_star = NULL, *star_narrow = NULL;

    while (*narrow != '\0' || *wide == '*') {
        if (*wide == '*') {
            after_star = ++wide;
            star_narrow = narrow;
        } else if (*wide != '\0' && element_covers(wide, narrow)) {
            wide = pattern_skip_element(wide);
            narrow = pattern_skip_element(narrow);
        } else if (after_star != NULL) {
            wide = after_star;
            star_narrow = pattern_skip_element(star_narrow);
            narrow = star_narrow;
        } else {
            return false;
        }
    }
    return *wide == '\0';
}

/* Returns the dot that ends the first label of all names that @pattern matches; NULL: none does. */
static const char *find_label_end(const char *pattern) {
    for (; *pattern != '\0' && *pattern != '.'; pattern = pattern_skip_element(pattern)) {
        const char *element = pattern;

        if (*pattern == '*' || pattern_match_element(&element, '.'))
            return NULL;
    }
    return *pattern == '.' ? pattern : NULL;
}

/*
 * Writes to @label the pattern of the first label of all names that @pattern matches. Returns false
 * if they have no dot, or different ones, or it is too long for a label.
 */
bool subsumption_find_label(const char *pattern, char label[SUBSUMPTION_LABEL_MAX + 1]) {
    const char *end = find_label_end(pattern);

    if (end == NULL || end == pattern || end - pattern > SUBSUMPTION_LABEL_MAX)
        return false;
    memcpy(label, pattern, (size_t)(end - pattern));
    label[end - pattern] = '\0';
    return true;
}

/* True if @wide matches every name that @narrow matches, also by their first label. */
bool subsumption_with_label(const struct policy_pattern *wide,
                            const struct policy_pattern *narrow) {
    char label[SUBSUMPTION_LABEL_MAX + 1];

    if (narrow->matches_label && !wide->matches_label)
        return false;
    return subsumption_of_pattern(wide->text, narrow->text) ||
           (wide->matches_label && subsumption_find_label(narrow->text, label) &&
            subsumption_of_pattern(wide->text, label));
}

/*
 * A wildcard in a permit rule matches only valid host names (RFC 1123), in a deny rule all names.
 */
static bool is_pattern_covered(const struct policy *policy, const struct policy_rule *earlier,
                               const struct policy_rule *later,
                               const struct policy_pattern *pattern) {
    for (size_t i = 0; i < earlier->n_patterns; i++) {
        const struct policy_pattern *wide = &policy->patterns[earlier->first_pattern + i];
        bool matches_all = earlier->action == POLICY_DENY || !wide->is_wildcard;
        bool needs_all =
            pattern->is_wildcard ? later->action == POLICY_DENY : !name_is_rfc1123(pattern->text);

        if (wide->kind == pattern->kind && (matches_all || !needs_all) &&
            subsumption_with_label(wide, pattern))
            return true;
    }
    return false;
}

static bool is_same_subject(const struct policy_subject *a, const struct policy_subject *b) {
    return a->kind == b->kind && a->is_id == b->is_id &&
           (a->is_id ? a->id == b->id : strcmp(a->name, b->name) == 0);
}

static bool are_subjects_covered(const struct policy *policy, const struct policy_rule *earlier,
                                 const struct policy_rule *later) {
    if (earlier->is_any || later->is_any)
        return earlier->is_any;
    for (size_t i = 0; i < later->n_subjects; i++) {
        bool is_found = false;

        for (size_t j = 0; j < earlier->n_subjects && !is_found; j++)
            is_found = is_same_subject(&policy->subjects[earlier->first_subject + j],
                                       &policy->subjects[later->first_subject + i]);
        if (!is_found)
            return false;
    }
    return true;
}

/*
 * True if @earlier decides every request that @later could decide: it applies to all subjects of
 * @later, and matches all that @later matches. True is certain. A permit rule matches only if all
 * requested names do; for a deny rule one name is enough.
 */
bool subsumption_of_rule(const struct policy *policy, const struct policy_rule *earlier,
                         const struct policy_rule *later) {
    if (!are_subjects_covered(policy, earlier, later))
        return false;
    if (rule_denies_everything(earlier))
        return true;
    if (rule_denies_everything(later))
        return false;
    for (size_t i = 0; i < later->n_patterns; i++)
        if (!is_pattern_covered(policy, earlier, later,
                                &policy->patterns[later->first_pattern + i]))
            return false;
    /* A request that a deny rule matches may have a second name, which @earlier must match, too. */
    return later->action == POLICY_PERMIT || earlier->action == POLICY_DENY;
}

/* True if both match some character of valid host names. */
static bool do_elements_meet(const char *a, const char *b) {
    static const char characters[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";

    if (*a == '?' || *b == '?')
        return true;
    if (*b != '[')
        return element_covers(a, b);
    if (*a != '[')
        return element_covers(b, a);
    for (const char *c = characters; *c != '\0'; c++)
        if (element_covers(a, c) && element_covers(b, c))
            return true;
    return false;
}

/*
 * True if the first or last characters are not wildcards and differ: a quick check, mostly enough.
 */
static bool have_different_edges(const char *a, const char *b) {
    size_t length_a = strlen(a), length_b = strlen(b);

    if (length_a == 0 || length_b == 0)
        return length_a != length_b;
    return (strchr("*?[", a[0]) == NULL && strchr("*?[", b[0]) == NULL &&
            name_char_to_lower(a[0]) != name_char_to_lower(b[0])) ||
           (strchr("*?]", a[length_a - 1]) == NULL && strchr("*?]", b[length_b - 1]) == NULL &&
            name_char_to_lower(a[length_a - 1]) != name_char_to_lower(b[length_b - 1]));
}

/*
 * Sets *@beforep to @c, the next character of a name. Returns false if no valid host name (RFC
 * 1123) has it after *@beforep, which is a dot at the start. '\0' is any letter or digit.
 */
static bool name_can_go_on(char c, char *beforep) {
    bool is_edge = c == '-' || c == '.';
    bool is_valid = c == '\0' || is_edge || name_char_is_alphanumeric(c);

    if (!is_valid || (is_edge && (*beforep == '.' || (c == '.' && *beforep == '-'))))
        return false;
    *beforep = c;
    return true;
}

/* Returns the character that @element must match; '\0' if there are several. */
static char get_fixed_char(const char *element) {
    return strchr("*?[", *element) != NULL ? '\0' : *element;
}

/*
 * True if there is a valid host name that both patterns match, after a beginning that both match,
 * and that ends with @before. With many stars in both this takes too long: it gives up and returns
 * false after *@patience steps.
 */
static bool do_patterns_meet(const char *a, const char *b, char before, unsigned *patience) {
    char fixed;

    if ((*patience)-- == 0) {
        *patience = 0;
        return false;
    }
    if (*a == '\0' && *b == '\0')
        return before != '.' && before != '-';
    if (*b == '*' && *a != '*')
        return do_patterns_meet(b, a, before, patience);
    if (*a == '*')
        return do_patterns_meet(a + 1, b, before, patience) ||
               (*b != '\0' && name_can_go_on(get_fixed_char(b), &before) &&
                do_patterns_meet(a, pattern_skip_element(b), before, patience));
    if (*a == '\0' || *b == '\0' || !do_elements_meet(a, b))
        return false;
    fixed = get_fixed_char(a);
    return name_can_go_on(fixed != '\0' ? fixed : get_fixed_char(b), &before) &&
           do_patterns_meet(pattern_skip_element(a), pattern_skip_element(b), before, patience);
}

/* True if there is a valid host name that both patterns match; false if that is hard to say. */
static bool do_both_match(const char *a, const char *b) {
    unsigned patience = 2000;

    return !have_different_edges(a, b) && do_patterns_meet(a, b, '.', &patience);
}

/*
 * True if @pattern matches a name whose first label @label matches. A wildcard of @label may take
 * more than that label here.
 */
static bool do_domains_match(const char *pattern, const char *label) {
    char names[SUBSUMPTION_LABEL_MAX + sizeof(".*")];
    size_t n = strlen(label);

    if (n > SUBSUMPTION_LABEL_MAX)
        return false;
    memcpy(names, label, n);
    memcpy(names + n, ".*", sizeof(".*"));
    return do_both_match(pattern, names);
}

/*
 * True if @permitted, of a permit rule, permits a name that @denied, of a deny rule, denies. A
 * wildcard in a permit rule matches only valid host names (RFC 1123).
 */
bool subsumption_can_meet(const struct policy_pattern *permitted,
                          const struct policy_pattern *denied) {
    if (permitted->kind != denied->kind)
        return false;
    if (!permitted->is_wildcard)
        return pattern_matches(denied->text, permitted->text) ||
               (denied->matches_label &&
                pattern_matches_first_label(denied->text, permitted->text));
    return do_both_match(permitted->text, denied->text) ||
           (denied->matches_label && do_domains_match(permitted->text, denied->text));
}
