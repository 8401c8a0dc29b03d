#pragma once

/*
 * What the policy says, by utspolicy: it looks up users and groups, which a program without a
 * dynamic loader cannot. No broker is needed: it reads the policy with no more than the user's own
 * rights, and so refuses all that utspolicy cannot read.
 */

#include <signal.h>
#include <stddef.h>

#include "launcher/options.h"

_Noreturn void policy_list(void);
int policy_check(const struct options *options);
int policy_find_nearest(const struct options *options, const sigset_t *mask, char *text,
                        size_t size);
