#include "policy/tool/subject-options.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utsbroker/base.h"

/* Ids of users and groups that are known by their names only, as on another machine. */
static const uint32_t first_made_up_id = 0xfff00000;

static bool is_number(const char *text, uint32_t *idp) {
    char *end = NULL;
    unsigned long number;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    number = strtoul(text, &end, 10);
    if (*end != '\0' || errno != 0 || number >= UINT32_MAX)
        return false;
    *idp = (uint32_t)number;
    return true;
}

/* Returns 0 or a negative errno; a name that nobody knows gets an id that nobody has. */
static int id_find(struct subject *subject, enum policy_subject_kind kind, const char *name,
                   uint32_t made_up_id, uint32_t *idp) {
    int r;

    if (is_number(name, idp))
        return 0;
    r = subject_find_id(subject, kind, name, idp);
    if (r != SUBJECT_E_UNKNOWN)
        return r;
    *idp = made_up_id;
    return subject_assume(subject, kind, name, made_up_id);
}

/* The groups that a login of the user would have, as the database knows them. */
static int groups_of_database(struct subject *subject) {
    const struct passwd *entry = getpwuid(subject->uid);
    int n = 64, n_before;

    if (entry == NULL)
        return 0;
    do {
        gid_t *gids = reallocarray(subject->gids, (size_t)n, sizeof(*gids));

        if (gids == NULL)
            return -ENOMEM;
        subject->gids = gids;
        n_before = n;
    } while (getgrouplist(entry->pw_name, entry->pw_gid, subject->gids, &n) < 0 && n > n_before);
    subject->n_gids = n > 0 ? (size_t)n : 0;
    return 0;
}

static int groups_of_options(struct subject *subject, const struct tool_options *options) {
    subject->gids = calloc(options->n_groups, sizeof(*subject->gids));
    if (subject->gids == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < options->n_groups; i++) {
        uint32_t id;
        int r =
            id_find(subject, POLICY_GROUP, options->groups[i], first_made_up_id + (uint32_t)i, &id);

        if (r < 0)
            return r;
        subject->gids[subject->n_gids++] = id;
    }
    return 0;
}

/*
 * Of a policy that is for another machine: whom its rules name is known there. Without this a deny
 * rule with a name that is not known here would be one for everybody. Returns 0 or a negative
 * errno.
 */
static int names_assume(struct subject *subject, const struct policy *policy) {
    for (size_t i = 0; i < policy->n_subjects; i++) {
        const struct policy_subject *named = &policy->subjects[i];
        uint32_t id;
        int r = named->is_id ? 0
                             : id_find(subject, named->kind, named->name,
                                       first_made_up_id + TOOL_GROUPS_MAX + (uint32_t)i, &id);

        if (r < 0)
            return r;
    }
    return 0;
}

/*
 * Fills @subject with whom the options name, to look at @policy for them. A name that no database
 * here knows is one all the same: rules that have it mean it. Returns 0 or a negative errno, and
 * says why on standard error; subject_deinit() frees in both cases.
 */
int somebody_init(struct subject *subject, const struct policy *policy,
                  const struct tool_options *options) {
    uint32_t uid = 0;
    int r;

    *subject = (struct subject)SUBJECT_NULL;
    if (options->is_self) {
        r = subject_init_self(subject);
    } else {
        r = id_find(subject, POLICY_USER, options->user, first_made_up_id, &uid);
        subject->uid = uid;
        if (r == 0)
            r = options->n_groups > 0 ? groups_of_options(subject, options)
                                      : groups_of_database(subject);
        if (r == 0 && options->has_own_folders)
            r = names_assume(subject, policy);
        subject_sort_groups(subject);
    }
    if (r < 0)
        (void)fprintf(stderr, "utspolicy: looking up who asks: %s\n", strerror(-r));
    return r;
}
