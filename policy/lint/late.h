#pragma once

/* Deny rules that come too late: an earlier rule permits somebody what they should deny. */

#include "policy/lint/unreachable.h"

struct late {
    const struct policy_rule *rule;
    unsigned line, column;
    char message[320]; /* a warning holds less: the end may be cut off */
};

/* Called for each such rule; @late is valid only during the call. */
typedef void (*late_report)(void *context, const struct late *late);

int late_find_all(const struct unreachable_index *index,
                  const struct policy_rule *const *unreachable_by, bool asks_databases,
                  late_report report, void *context);
