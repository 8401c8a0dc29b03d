#include "policy/tool/subject-options.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/parser.h"
#include "policy/tool/assumed-names.h"
#include "utsbroker/base.h"

/*
 * From here on, ids for users and groups whose names are unknown here, as they are on another
 * machine.
 */
static const uint32_t first_made_up_id = 0xfff00000;

/*
 * Finds the id of @name, which may be a number. An unknown name gets @made_up_id. Returns 0 or a
 * negative errno.
 */
static int find_id(struct subject *subject, enum policy_subject_kind kind, const char *name,
                   uint32_t made_up_id, uint32_t *idp) {
    int r;

    if (parser_read_number(name, POLICY_ID_MAX, idp))
        return 0;
    r = subject_find_id(subject, kind, name, idp);
    if (r != SUBJECT_E_UNKNOWN)
        return r;
    *idp = made_up_id;
    return subject_assume(subject, kind, name, made_up_id);
}

/* Sets the groups to those that a login of the user has, by the database. */
static int set_groups_of_database(struct subject *subject) {
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

static int set_groups_of_options(struct subject *subject, const struct tool_options *options) {
    subject->gids = calloc(options->n_groups, sizeof(*subject->gids));
    if (subject->gids == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < options->n_groups; i++) {
        uint32_t id;
        int r =
            find_id(subject, POLICY_GROUP, options->groups[i], first_made_up_id + (uint32_t)i, &id);

        if (r < 0)
            return r;
        subject->gids[subject->n_gids++] = id;
    }
    return 0;
}

/*
 * Fills @subject with the user and groups that the options name; without a user it is one whom no
 * rule names. A name of the options that no database here knows is assumed to exist, and matches
 * rules that have it. Returns 0, or a negative errno after a message on standard error;
 * subject_deinit() frees in both cases.
 */
int subject_init_from_options(struct subject *subject, const struct policy *policy,
                              const struct tool_options *options) {
    uint32_t uid = 0;
    int r = 0;

    *subject = (struct subject)SUBJECT_NULL;
    if (options->is_self) {
        r = subject_init_self(subject);
    } else {
        uid = first_made_up_id;
        if (options->has_no_lookup)
            r = assumed_names_add(subject, policy, options);
        if (r == 0 && options->user != NULL)
            r = find_id(subject, POLICY_USER, options->user, first_made_up_id, &uid);
        subject->uid = uid;
        if (r == 0 && options->n_groups > 0)
            r = set_groups_of_options(subject, options);
        else if (r == 0 && !options->has_no_lookup)
            r = set_groups_of_database(subject);
        subject_sort_groups(subject);
    }
    if (r < 0)
        (void)fprintf(stderr, "utspolicy: could not look up the user and groups: %s\n",
                      strerror(-r));
    return r;
}
