#pragma once

/*
 * Asks utspolicy about the policy: utspolicy looks up users and groups, which a program without a
 * dynamic loader cannot do. No broker is needed. utspolicy reads the policy with the user's own
 * rights, and fails if it cannot read a file.
 */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "launcher/options.h"

_Noreturn void policy_query_list(void);
int policy_query_check(const struct options *options);
int policy_query_find_nearest(const struct options *options, const sigset_t *mask, char *text,
                              size_t size);
bool policy_query_is_permitted(const struct options *options, const sigset_t *mask);
