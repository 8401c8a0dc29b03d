#include "policy/lint/people.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utsbroker/base.h"

/*
 * The databases are asked when two subjects are compared for the first time, so that a policy whose
 * patterns never meet needs no look-up. A group's members are those that its entry lists: nobody
 * whose primary group it is, as that would mean to list all users. But a person has one primary
 * group, so whoever is in two groups is listed in one of them.
 */

/* A member that the entry of a group lists. */
struct member {
    char *name;
    gid_t primary_gid;
};

struct people_entry {
    const struct policy_subject *subject; /* the first of the rules that names it */
    bool is_asked, is_known;
    uint32_t id;
    gid_t *gids; /* of a user: sorted */
    size_t n_gids;
    struct member *members; /* of a group: sorted by name */
    size_t n_members;
};

static int subject_compare(const struct policy_subject *a, const struct policy_subject *b) {
    if (a->kind != b->kind)
        return (int)a->kind - (int)b->kind;
    if (a->is_id != b->is_id)
        return (int)a->is_id - (int)b->is_id;
    return a->is_id ? (a->id > b->id) - (a->id < b->id) : strcmp(a->name, b->name);
}

static int pointer_compare(const void *a, const void *b) {
    const struct policy_subject *left = *(const struct policy_subject *const *)a;
    const struct policy_subject *right = *(const struct policy_subject *const *)b;

    return subject_compare(left, right);
}

static int gid_compare(const void *a, const void *b) {
    gid_t left = *(const gid_t *)a, right = *(const gid_t *)b;

    return (left > right) - (left < right);
}

static int member_compare(const void *a, const void *b) {
    return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

/* Makes one entry for each user and group that the policy names. */
static int add_entries(struct people *people) {
    const struct policy *policy = people->policy;
    CLEANUP_FREE const struct policy_subject **sorted =
        calloc(policy->n_subjects + 1, sizeof(*sorted));

    if (sorted == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < policy->n_subjects; i++)
        sorted[i] = &policy->subjects[i];
    qsort(sorted, policy->n_subjects, sizeof(*sorted), pointer_compare);
    for (size_t i = 0; i < policy->n_subjects; i++) {
        if (i == 0 || subject_compare(sorted[i - 1], sorted[i]) != 0) {
            people->entries[people->n_entries++].subject = sorted[i];
            people->n_groups += sorted[i]->kind == POLICY_GROUP;
        }
        people->numbers[sorted[i] - policy->subjects] = people->n_entries - 1;
    }
    return 0;
}

/*
 * Prepares to compare the users and groups of @policy, which must live longer. @asks: the databases
 * of this machine know them. Returns 0 or -ENOMEM; people_deinit() frees in both cases.
 */
int people_init(struct people *people, const struct policy *policy, bool asks) {
    enum { GROUPS_MAX = 2048 }; /* the answers of more would take too much room */

    *people = (struct people){.policy = policy, .asks = asks};
    people->entries = calloc(policy->n_subjects + 1, sizeof(*people->entries));
    people->numbers = calloc(policy->n_subjects + 1, sizeof(*people->numbers));
    if (people->entries == NULL || people->numbers == NULL || add_entries(people) < 0)
        return -ENOMEM;
    if (people->n_groups <= GROUPS_MAX) {
        people->answers = calloc(people->n_groups * people->n_groups + 1, 1);
        if (people->answers == NULL)
            return -ENOMEM;
    }
    return 0;
}

/* Frees what @people holds. */
void people_deinit(struct people *people) {
    for (size_t i = 0; i < people->n_entries; i++) {
        for (size_t j = 0; j < people->entries[i].n_members; j++)
            free(people->entries[i].members[j].name);
        free(people->entries[i].members);
        free(people->entries[i].gids);
    }
    free(people->entries);
    free(people->numbers);
    free(people->answers);
    *people = (struct people){.policy = NULL};
}

static void find_groups_of_user(struct people_entry *entry, const struct passwd *user) {
    int n = 64, n_before;

    entry->id = user->pw_uid;
    do {
        gid_t *gids = reallocarray(entry->gids, (size_t)n, sizeof(*gids));

        if (gids == NULL)
            return;
        entry->gids = gids;
        n_before = n;
    } while (getgrouplist(user->pw_name, user->pw_gid, entry->gids, &n) < 0 && n > n_before);
    if (n <= 0 || n > n_before)
        return;
    entry->n_gids = (size_t)n;
    qsort(entry->gids, entry->n_gids, sizeof(*entry->gids), gid_compare);
    entry->is_known = true;
}

static void find_members_of_group(struct people_entry *entry, const struct group *group) {
    size_t n = 0;

    entry->id = group->gr_gid;
    while (group->gr_mem[n] != NULL)
        n++;
    entry->members = calloc(n + 1, sizeof(*entry->members));
    if (entry->members == NULL)
        return;
    for (; entry->n_members < n; entry->n_members++) {
        struct member *member = &entry->members[entry->n_members];

        *member = (struct member){.name = strdup(group->gr_mem[entry->n_members]),
                                  .primary_gid = (gid_t)-1};
        if (member->name == NULL)
            return;
    }
    qsort(entry->members, n, sizeof(*entry->members), member_compare);
    for (size_t i = 0; i < n; i++) {
        const struct passwd *user = getpwnam(entry->members[i].name);

        if (user != NULL)
            entry->members[i].primary_gid = user->pw_gid;
    }
    entry->is_known = true;
}

/* What cannot be found, also for want of memory, stays unknown. */
static struct people_entry *people_ask(struct people *people, ssize_t subject) {
    struct people_entry *entry = &people->entries[people->numbers[subject]];
    const struct policy_subject *named = entry->subject;
    const struct passwd *user;
    const struct group *group;

    if (entry->is_asked || !people->asks)
        return entry;
    entry->is_asked = true;
    if (named->kind == POLICY_USER) {
        user = named->is_id ? getpwuid(named->id) : getpwnam(named->name);
        if (user != NULL)
            find_groups_of_user(entry, user);
    } else {
        group = named->is_id ? getgrgid(named->id) : getgrnam(named->name);
        if (group != NULL)
            find_members_of_group(entry, group);
    }
    return entry;
}

/* A group by its id needs no look-up to have one. */
static bool entry_has_id(const struct people_entry *entry) {
    return entry->is_known || entry->subject->is_id;
}

static uint32_t entry_get_id(const struct people_entry *entry) {
    return entry->subject->is_id ? entry->subject->id : entry->id;
}

static enum people_overlap compare_users(const struct people_entry *a,
                                         const struct people_entry *b) {
    if (entry_has_id(a) && entry_has_id(b))
        return entry_get_id(a) == entry_get_id(b) ? PEOPLE_SHARED : PEOPLE_APART;
    /* Two names are two people, mostly; a name and an id may be one. */
    return a->subject->is_id == b->subject->is_id ? PEOPLE_APART : PEOPLE_MAYBE;
}

static enum people_overlap compare_user_with_group(const struct people_entry *user,
                                                   const struct people_entry *group) {
    gid_t gid = entry_get_id(group);

    if (!user->is_known || !entry_has_id(group))
        return PEOPLE_MAYBE;
    return bsearch(&gid, user->gids, user->n_gids, sizeof(gid), gid_compare) != NULL ? PEOPLE_SHARED
                                                                                     : PEOPLE_APART;
}

static bool has_member(const struct people_entry *group, const struct member *member) {
    return member->primary_gid == entry_get_id(group) ||
           bsearch(member, group->members, group->n_members, sizeof(*member), member_compare) !=
               NULL;
}

/* Returns a person who is in both groups, or NULL. */
static const char *find_common_member(const struct people_entry *a, const struct people_entry *b) {
    for (size_t i = 0; i < a->n_members; i++)
        if (has_member(b, &a->members[i]))
            return a->members[i].name;
    for (size_t i = 0; i < b->n_members; i++)
        if (has_member(a, &b->members[i]))
            return b->members[i].name;
    return NULL;
}

/* A group that lists nobody may have its members elsewhere. */
static enum people_overlap compare_groups(const struct people_entry *a,
                                          const struct people_entry *b) {
    if (entry_has_id(a) && entry_has_id(b) && entry_get_id(a) == entry_get_id(b))
        return PEOPLE_SHARED;
    if (!a->is_known || !b->is_known || (a->n_members == 0 && b->n_members == 0))
        return PEOPLE_MAYBE;
    return find_common_member(a, b) != NULL ? PEOPLE_SHARED : PEOPLE_APART;
}

/* Compares two subjects. */
enum people_overlap people_compare(struct people *people, ssize_t a, ssize_t b) {
    size_t first_group = people->n_entries - people->n_groups;
    const struct people_entry *left, *right;
    unsigned char *answer = NULL;
    enum people_overlap overlap;

    if (a == PEOPLE_ANYBODY || b == PEOPLE_ANYBODY || people->numbers[a] == people->numbers[b])
        return PEOPLE_SHARED;
    left = people_ask(people, a);
    right = people_ask(people, b);
    if (left->subject->kind == POLICY_USER)
        return right->subject->kind == POLICY_USER ? compare_users(left, right)
                                                   : compare_user_with_group(left, right);
    if (right->subject->kind == POLICY_USER)
        return compare_user_with_group(right, left);
    if (people->answers != NULL)
        answer = &people->answers[(people->numbers[a] - first_group) * people->n_groups +
                                  (people->numbers[b] - first_group)];
    if (answer != NULL && *answer != 0)
        return (enum people_overlap)(*answer - 1);
    overlap = compare_groups(left, right);
    if (answer != NULL)
        *answer = (unsigned char)(overlap + 1);
    return overlap;
}

static void describe_subject(const struct policy *policy, ssize_t number, char *text, size_t size) {
    const struct policy_subject *subject = &policy->subjects[number];
    const char *kind = subject->kind == POLICY_USER ? "user" : "group";

    if (subject->is_id)
        (void)snprintf(text, size, "%s %u", kind, (unsigned)subject->id);
    else
        (void)snprintf(text, size, "%s %s", kind, subject->name);
}

/* Writes who is in the two groups @a and @b. */
static void describe_groups(struct people *people, ssize_t a, ssize_t b, char *text, size_t size) {
    const struct people_entry *left = people_ask(people, a), *right = people_ask(people, b);
    bool is_certain = people_compare(people, a, b) == PEOPLE_SHARED;
    const char *member = is_certain ? find_common_member(left, right) : NULL;
    char first[80], second[80];

    describe_subject(people->policy, a, first, sizeof(first));
    describe_subject(people->policy, b, second, sizeof(second));
    if (is_certain && (member == NULL || entry_get_id(left) == entry_get_id(right)))
        (void)snprintf(text, size, "%s", first);
    else if (is_certain)
        (void)snprintf(text, size, "user %s, who is in %s and %s", member, first, second);
    else
        (void)snprintf(text, size, "whoever is in %s and %s", first, second);
}

/* Writes who is both subjects, which are not apart: "user alice, who is in group staff". */
void people_describe(struct people *people, ssize_t a, ssize_t b, char *text, size_t size) {
    const struct policy_subject *subjects = people->policy->subjects;
    ssize_t fewer = people_are_fewer(people->policy, b, a) ? b : a, more = fewer == a ? b : a;
    char first[80], second[80];

    if (fewer == PEOPLE_ANYBODY) {
        (void)snprintf(text, size, "everybody");
        return;
    }
    if (more != PEOPLE_ANYBODY && subjects[fewer].kind == POLICY_GROUP) {
        describe_groups(people, a, b, text, size);
        return;
    }
    describe_subject(people->policy, fewer, first, sizeof(first));
    if (more == PEOPLE_ANYBODY || subjects[more].kind == POLICY_USER) {
        (void)snprintf(text, size, "%s", first);
        return;
    }
    describe_subject(people->policy, more, second, sizeof(second));
    (void)snprintf(text, size, "%s, %s in %s", first,
                   people_compare(people, fewer, more) == PEOPLE_SHARED ? "who is"
                                                                        : "if that user is",
                   second);
}

/* True if @a is a part of @b, where they have a person in common. */
bool people_are_fewer(const struct policy *policy, ssize_t a, ssize_t b) {
    if (a == PEOPLE_ANYBODY || b == PEOPLE_ANYBODY)
        return a != PEOPLE_ANYBODY;
    return policy->subjects[a].kind == POLICY_USER && policy->subjects[b].kind == POLICY_GROUP;
}

/* Root needs no permission: it can set any host name by itself. */
bool people_is_root(const struct policy *policy, ssize_t subject) {
    const struct policy_subject *named;

    if (subject == PEOPLE_ANYBODY)
        return false;
    named = &policy->subjects[subject];
    return named->kind == POLICY_USER &&
           (named->is_id ? named->id == 0 : strcmp(named->name, "root") == 0);
}
