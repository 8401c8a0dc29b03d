#pragma once

/* Whether two users or groups of rules have a person in common, as far as the databases say. */

#include <sys/types.h>

#include "policy/rules.h"

/* Subjects are named by their number in the policy; this one is `any`. */
enum { PEOPLE_ANYBODY = -1 };

enum people_overlap {
    PEOPLE_APART,
    PEOPLE_MAYBE, /* the databases do not know, or may not be asked */
    PEOPLE_SHARED,
};

struct people_entry; /* one user or group, however many rules name it */

struct people {
    const struct policy *policy;
    struct people_entry *entries;
    size_t n_entries;
    size_t *numbers;        /* the entry of each subject of the policy */
    size_t n_groups;        /* entries that are groups; they come last */
    unsigned char *answers; /* for each two groups: the overlap plus 1; 0: not yet compared */
    bool asks;              /* the databases may be asked */
};

int people_init(struct people *people, const struct policy *policy, bool asks);
void people_deinit(struct people *people);
enum people_overlap people_compare(struct people *people, ssize_t a, ssize_t b);
void people_describe(struct people *people, ssize_t a, ssize_t b, char *text, size_t size);
bool people_are_fewer(const struct policy *policy, ssize_t a, ssize_t b);
bool people_is_root(const struct policy *policy, ssize_t subject);

#define CLEANUP_PEOPLE __attribute__((cleanup(people_deinit)))
