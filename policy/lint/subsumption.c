#include "policy/lint/subsumption.h"

#include <string.h>

#include "policy/decision.h"
#include "policy/name-pattern.h"
#include "utsbroker/base.h"

/* Of a pattern: one character, `?`, a set or `*`. */
struct element {
    const char *text;
    size_t length;
};

static struct element element_at(const char *pattern) {
    const char *set_end = pattern[0] == '[' ? strchr(pattern, ']') : NULL;

    return (struct element){pattern, set_end != NULL ? (size_t)(set_end - pattern) + 1 : 1};
}

static bool is_same_text(struct element a, struct element b) {
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++)
        if (name_char_to_lower(a.text[i]) != name_char_to_lower(b.text[i]))
            return false;
    return true;
}

/* True if each character that @narrow stands for is one that @wide stands for; neither is a star.
 */
static bool element_covers(struct element wide, struct element narrow) {
    char set[NAME_LENGTH_MAX * 4], character[2] = {narrow.text[0], '\0'};

    if (narrow.text[0] == '*')
        return false;
    if (wide.text[0] == '?' || is_same_text(wide, narrow))
        return true;
    if (wide.text[0] != '[' || narrow.text[0] == '[' || narrow.text[0] == '?' ||
        wide.length >= sizeof(set))
        return false;
    memcpy(set, wide.text, wide.length);
    set[wide.length] = '\0';
    return pattern_matches(set, character);
}

/*
 * True if every name that @narrow matches is matched by @wide. Sure where it says so; of two
 * patterns with more than one star it may miss it. As pattern_matches(), with the elements of
 * @narrow in the place of a name's characters.
 */
bool subsumption_of_pattern(const char *wide, const char *narrow) {
    const char *behind_star = NULL, *star_narrow = NULL;

    while (*narrow != '\0' || *wide == '*') {
        struct element from = element_at(wide), of = element_at(narrow);

        if (*wide == '*') {
            behind_star = ++wide;
            star_narrow = narrow;
        } else if (*wide != '\0' && element_covers(from, of)) {
            wide += from.length;
            narrow += of.length;
        } else if (behind_star != NULL) {
            wide = behind_star;
            star_narrow += element_at(star_narrow).length;
            narrow = star_narrow;
        } else {
            return false;
        }
    }
    return *wide == '\0';
}

/* A wildcard of a permit rule means names of RFC 1123 only, one of a deny rule all. */
static bool pattern_is_covered(const struct policy *policy, const struct policy_rule *earlier,
                               const struct policy_rule *later,
                               const struct policy_pattern *pattern) {
    for (size_t i = 0; i < earlier->n_patterns; i++) {
        const struct policy_pattern *wide = &policy->patterns[earlier->first_pattern + i];
        bool means_all = earlier->action == POLICY_DENY || !wide->is_wildcard;
        bool wants_all =
            pattern->is_wildcard ? later->action == POLICY_DENY : !name_is_rfc1123(pattern->text);

        if (wide->kind == pattern->kind && (means_all || !wants_all) &&
            subsumption_of_pattern(wide->text, pattern->text))
            return true;
    }
    return false;
}

static bool subject_is_same(const struct policy_subject *a, const struct policy_subject *b) {
    return a->kind == b->kind && a->is_id == b->is_id &&
           (a->is_id ? a->id == b->id : strcmp(a->name, b->name) == 0);
}

static bool subjects_are_covered(const struct policy *policy, const struct policy_rule *earlier,
                                 const struct policy_rule *later) {
    if (earlier->is_any || later->is_any)
        return earlier->is_any;
    for (size_t i = 0; i < later->n_subjects; i++) {
        bool is_found = false;

        for (size_t j = 0; j < earlier->n_subjects && !is_found; j++)
            is_found = subject_is_same(&policy->subjects[earlier->first_subject + j],
                                       &policy->subjects[later->first_subject + i]);
        if (!is_found)
            return false;
    }
    return true;
}

/*
 * True if @earlier decides whatever @later could: it is for all whom that is for, and matches
 * whatever that matches. Sure where it says so. One list of names matched whole is a permit rule's
 * whole request, and part of one is enough for a deny rule.
 */
bool subsumption_of_rule(const struct policy *policy, const struct policy_rule *earlier,
                         const struct policy_rule *later) {
    if (!subjects_are_covered(policy, earlier, later))
        return false;
    if (rule_denies_everything(earlier))
        return true;
    if (rule_denies_everything(later))
        return false;
    for (size_t i = 0; i < later->n_patterns; i++)
        if (!pattern_is_covered(policy, earlier, later,
                                &policy->patterns[later->first_pattern + i]))
            return false;
    /* A deny rule matches what has one name of its; a permit rule must know all that was asked for.
     */
    return later->action == POLICY_PERMIT || earlier->action == POLICY_DENY;
}

static bool elements_meet(struct element a, struct element b) {
    static const char of_names[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";

    if (a.text[0] == '?' || b.text[0] == '?')
        return true;
    if (b.text[0] != '[')
        return element_covers(a, b);
    if (a.text[0] != '[')
        return element_covers(b, a);
    for (const char *c = of_names; *c != '\0'; c++) {
        struct element character = {c, 1};

        if (element_covers(a, character) && element_covers(b, character))
            return true;
    }
    return false;
}

/* Both begin, and end, without a wildcard, and differently: most do. */
static bool edges_differ(const char *a, const char *b) {
    size_t length_a = strlen(a), length_b = strlen(b);

    if (length_a == 0 || length_b == 0)
        return length_a != length_b;
    return (strchr("*?[", a[0]) == NULL && strchr("*?[", b[0]) == NULL &&
            name_char_to_lower(a[0]) != name_char_to_lower(b[0])) ||
           (strchr("*?]", a[length_a - 1]) == NULL && strchr("*?]", b[length_b - 1]) == NULL &&
            name_char_to_lower(a[length_a - 1]) != name_char_to_lower(b[length_b - 1]));
}

/*
 * True if there is a name that both patterns match: what @a has left meets what @b has left. With
 * many stars in both that takes too long to find out, and then it says that there is none.
 */
static bool patterns_meet(const char *a, const char *b, unsigned *patience) {
    if ((*patience)-- == 0) {
        *patience = 0;
        return false;
    }
    if (*a == '\0' && *b == '\0')
        return true;
    if (*a == '*')
        return patterns_meet(a + 1, b, patience) ||
               (*b != '\0' && patterns_meet(a, b + element_at(b).length, patience));
    if (*b == '*')
        return patterns_meet(b, a, patience);
    return *a != '\0' && *b != '\0' && elements_meet(element_at(a), element_at(b)) &&
           patterns_meet(a + element_at(a).length, b + element_at(b).length, patience);
}

/* No name that @denied matches may be left to @permitted, but for an exception to it. */
static bool pattern_comes_late(const char *denied, const char *permitted) {
    unsigned patience = 2000;

    return !edges_differ(denied, permitted) && patterns_meet(permitted, denied, &patience) &&
           (!subsumption_of_pattern(denied, permitted) ||
            subsumption_of_pattern(permitted, denied));
}

/*
 * True if the earlier rule @permit gives, to all whom @deny is for, a name that @deny denies, and
 * is no exception to it, as a pattern would be that matches less than the one that denies. Which
 * two patterns these are is put into *@permittedp and *@deniedp.
 */
bool subsumption_find_late(const struct policy *policy, const struct policy_rule *permit,
                           const struct policy_rule *deny, const struct policy_pattern **deniedp,
                           const struct policy_pattern **permittedp) {
    if (!subjects_are_covered(policy, permit, deny))
        return false;
    for (size_t i = 0; i < deny->n_patterns; i++) {
        const struct policy_pattern *denied = &policy->patterns[deny->first_pattern + i];

        for (size_t j = 0; j < permit->n_patterns; j++) {
            const struct policy_pattern *permitted = &policy->patterns[permit->first_pattern + j];

            if (denied->kind != permitted->kind ||
                !pattern_comes_late(denied->text, permitted->text))
                continue;
            *deniedp = denied;
            *permittedp = permitted;
            return true;
        }
    }
    return false;
}
