#pragma once

/*
 * For whom each rule decides a request, by the rules alone: no user's groups are known, and no
 * database is asked. So somebody who is in two groups is in the audience of both.
 */

#include <stdbool.h>
#include <stddef.h>

#include "policy/rules.h"

/* A walk over the rules that decide a request. It allocates as it goes. */
struct audience {
    const struct policy *policy;
    const char *hostname, *domainname; /* NULL: not requested */
    size_t next;                       /* of the policy's rules */
    bool is_everybody_decided;
    const struct policy_subject **decided; /* those for whom the rules so far have decided */
    size_t n_decided, room;
    size_t n_before; /* the part of @decided that is older than the current rule */
};

int audience_next(struct audience *audience, const struct policy_rule **rulep);
void audience_deinit(struct audience *audience);
int audience_has_permitted(const struct policy *policy, const char *hostname,
                           const char *domainname, bool *is_permittedp);

#define CLEANUP_AUDIENCE __attribute__((cleanup(audience_deinit)))
