#pragma once

/*
 * The user and groups that a request comes from, and whether a rule's users and groups match them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "policy/rules.h"

struct subject {
    uid_t uid;
    gid_t *gids; /* sorted; those of the process, not of the database */
    size_t n_gids;
    void *lookups;          /* a tree (tsearch(3)) of the names that were looked up already */
    const char *known_name; /* a name in a rule that is a name of this user, or NULL */
};

#define SUBJECT_NULL                                                                               \
    { 0 }

enum {
    SUBJECT_E_UNKNOWN = 1, /* no database knows the name */
};

int subject_init_self(struct subject *subject);
void subject_sort_groups(struct subject *subject);
void subject_deinit(struct subject *subject);
int subject_find_id(struct subject *subject, enum policy_subject_kind kind, const char *name,
                    uint32_t *idp);
int subject_assume(struct subject *subject, enum policy_subject_kind kind, const char *name,
                   uint32_t id);
int subject_matches(struct subject *subject, const struct policy_subject *named, bool *matchesp);

#define CLEANUP_SUBJECT __attribute__((cleanup(subject_deinit)))
