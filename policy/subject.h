#pragma once

/* Who asks: the ids of this process, and whether a rule's user and group names mean them. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "policy/rules.h"

struct subject {
    uid_t uid;
    gid_t *gids; /* sorted; the process's own groups, not the database's */
    size_t n_gids;
    void *lookups;          /* a tree of the names that were looked up already */
    const char *known_name; /* a rule's name that was found to be the user's, or NULL */
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
int subject_is_meant(struct subject *subject, const struct policy_subject *meant, bool *is_meantp);

#define CLEANUP_SUBJECT __attribute__((cleanup(subject_deinit)))
