#pragma once

/* Deny rules for one full name of a host whose other names stay permitted to somebody. */

#include "policy/rules.h"

struct dotted_deny {
    const struct policy_rule *rule;
    unsigned line, column;
    char message[320]; /* a warning holds less: the end may be cut off */
};

/* Called for each such rule; @found is valid only during the call. */
typedef void (*dotted_deny_report)(void *context, const struct dotted_deny *found);

int dotted_deny_find_all(const struct policy *policy,
                         const struct policy_rule *const *unreachable_by, bool asks_databases,
                         dotted_deny_report report, void *context);
