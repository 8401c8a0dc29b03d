#include "policy/lint/name-list.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "policy/lint/audience.h"
#include "policy/lint/contradiction.h"
#include "policy/lint/expansion.h"
#include "policy/name-pattern.h"
#include "utsbroker/base.h"

/* The rules that are listed, and for whom: for the subject of a selection, or for anybody. */
struct listing {
    struct name_list *list;
    const struct policy *policy;
    const struct selection *selection; /* NULL: a name counts if anybody is permitted to use it */
    enum policy_name_kind kind;
    bool has_patterns;   /* what cannot be listed is in the list as it is written */
    size_t n_rules, now; /* in the selection or the policy */
};

static const struct policy_rule *get_rule(const struct listing *listing, size_t i) {
    return listing->selection != NULL ? listing->selection->rules[i].rule
                                      : &listing->policy->rules[i];
}

/* Compares two names, which are strings, without regard to case. For tsearch(3). */
int name_list_compare(const void *a, const void *b) {
    const char *left = a, *right = b;

    while (*left != '\0' && name_char_to_lower(*left) == name_char_to_lower(*right)) {
        left++;
        right++;
    }
    return (int)name_char_to_lower(*left) - (int)name_char_to_lower(*right);
}

/* True if a deny rule before the rule in hand matches @name, for whomever. */
static bool is_in_earlier_deny(const struct listing *listing, const char *name) {
    for (size_t i = 0; i < listing->now; i++) {
        const struct policy_rule *rule = get_rule(listing, i);

        if (rule->action == POLICY_DENY &&
            (rule_denies_everything(rule) ||
             rule_matches_name(listing->policy, rule, listing->kind, name)))
            return true;
    }
    return false;
}

/*
 * Sets *@isp if @name, which the permit rule in hand matches, is permitted. Mostly no earlier rule
 * denies it to anybody, and then nothing else need be looked at.
 */
static int find_permitted(const struct listing *listing, const char *name, bool *isp) {
    const char *host = listing->kind == POLICY_HOSTNAME ? name : NULL;
    const char *domain = listing->kind == POLICY_HOSTNAME ? NULL : name;

    *isp = true;
    if (!is_in_earlier_deny(listing, name))
        return 0;
    if (listing->selection == NULL)
        return audience_has_permitted(listing->policy, host, domain, isp);
    *isp = selection_decide(listing->selection, host, domain).verdict == DECISION_PERMITTED;
    return 0;
}

static int add_to_list(struct name_list *list, const char *name) {
    char *copy;

    if (list->n == list->room) {
        size_t room = list->room == 0 ? 64 : list->room * 2;
        char **names = reallocarray(list->names, room, sizeof(*names));

        if (names == NULL)
            return -ENOMEM;
        list->names = names;
        list->room = room;
    }
    copy = strdup(name);
    if (copy == NULL)
        return -ENOMEM;
    if (tsearch(copy, &list->seen, name_list_compare) == NULL) {
        free(copy);
        return -ENOMEM;
    }
    list->names[list->n++] = copy;
    return 0;
}

/* Adds a name of a pattern of the rule in hand, if it is new and permitted. */
static int add_name(void *context, const char *name) {
    struct listing *listing = context;
    struct name_list *list = listing->list;
    bool is_permitted = false;
    int r;

    if (tfind(name, &list->seen, name_list_compare) != NULL ||
        !rule_matches_name(listing->policy, get_rule(listing, listing->now), listing->kind, name))
        return 0;
    r = find_permitted(listing, name, &is_permitted);
    if (r < 0 || !is_permitted)
        return r;
    return list->n < NAME_LIST_MAX ? add_to_list(list, name) : NAME_LIST_E_TOO_MANY;
}

/* Adds the names of one pattern of a word. */
static int add_names(struct listing *listing, const struct policy_pattern *pattern) {
    if (expansion_count(pattern->text, NAME_LIST_MAX) > NAME_LIST_MAX)
        return NAME_LIST_E_TOO_MANY;
    return expansion_each(pattern->text, add_name, listing);
}

/* Counts the word of @n patterns as skipped, or adds it as it is written, if it matches a name. */
static int add_as_pattern(struct listing *listing, const struct policy_pattern *word, size_t n) {
    struct name_list *list = listing->list;
    char invalid;

    for (size_t i = 0; i < n; i++) {
        if (contradiction_find(word[i].text, &invalid) != NULL)
            continue;
        list->n_skipped++;
        if (!listing->has_patterns || tfind(word->written, &list->seen, name_list_compare) != NULL)
            return 0;
        return list->n < NAME_LIST_MAX ? add_to_list(list, word->written) : NAME_LIST_E_TOO_MANY;
    }
    return 0;
}

static int names_compare_by_number(const void *a, const void *b) {
    const char *const *left = a, *const *right = b;

    return expansion_compare(*left, *right);
}

/* True if the names of the word of @n patterns are listed, not the word. */
static bool can_be_listed(const struct listing *listing, const struct policy_pattern *word,
                          size_t n) {
    size_t n_names = 0;

    for (size_t i = 0; i < n; i++) {
        if (!expansion_is_finite(word[i].text))
            return false;
        n_names += expansion_count(word[i].text, NAME_LIST_WORD_MAX);
    }
    return !listing->has_patterns || n_names <= NAME_LIST_WORD_MAX;
}

/*
 * Adds the names of the @n patterns of a word. Those of a range are put into the order of their
 * numbers: its patterns, as rack[1-4]n0[1-9] and rack[1-4]n1[0-9], are not in that order.
 */
static int add_word(struct listing *listing, const struct policy_pattern *word, size_t n) {
    struct name_list *list = listing->list;
    size_t n_before = list->n;
    int r = 0;

    if (!can_be_listed(listing, word, n))
        return add_as_pattern(listing, word, n);
    for (size_t i = 0; i < n && r == 0; i++)
        r = add_names(listing, &word[i]);
    if (r == 0 && n > 1 && list->n > n_before)
        qsort(list->names + n_before, list->n - n_before, sizeof(*list->names),
              names_compare_by_number);
    return r;
}

/* Adds the names of the permit rule in hand. */
static int add_rule(struct listing *listing, const struct policy_rule *rule) {
    const struct policy_pattern *patterns = &listing->policy->patterns[rule->first_pattern];

    for (size_t i = 0, n; i < rule->n_patterns; i += n) {
        const struct policy_pattern *word = &patterns[i];
        int r = 0;

        for (n = 1; i + n < rule->n_patterns && word[n].written == word->written;)
            n++;
        if (word->kind == listing->kind)
            r = add_word(listing, word, n);
        if (r == NAME_LIST_E_TOO_MANY) {
            listing->list->exceeded = word;
            listing->list->exceeded_rule = rule;
        }
        if (r != 0)
            return r;
    }
    return 0;
}

/*
 * Lists the names of @kind that the rules of @policy spell out, or make by sets and ranges, and
 * that the subject of @selection, or anybody if it is NULL, is permitted to use. With
 * @has_patterns, words that match more than that are in the list as they are written. Returns 0,
 * -ENOMEM or NAME_LIST_E_TOO_MANY. name_list_deinit() frees in each case.
 */
int name_list_init(struct name_list *list, const struct policy *policy,
                   const struct selection *selection, enum policy_name_kind kind,
                   bool has_patterns) {
    struct listing listing = {.list = list,
                              .policy = policy,
                              .selection = selection,
                              .kind = kind,
                              .has_patterns = has_patterns,
                              .n_rules = selection != NULL ? selection->n_rules : policy->n_rules};

    *list = (struct name_list){.n = 0};
    for (; listing.now < listing.n_rules; listing.now++) {
        const struct policy_rule *rule = get_rule(&listing, listing.now);
        int r = rule->action == POLICY_PERMIT ? add_rule(&listing, rule) : 0;

        if (r != 0)
            return r;
    }
    return 0;
}

static void keep_name(void *name) {
    (void)name; /* the list frees it */
}

/* Frees what @list holds; afterwards it is empty. */
void name_list_deinit(struct name_list *list) {
    tdestroy(list->seen, keep_name);
    for (size_t i = 0; i < list->n; i++)
        free(list->names[i]);
    free(list->names);
    *list = (struct name_list){.n = 0};
}
