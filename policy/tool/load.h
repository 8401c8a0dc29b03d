#pragma once

/* The policy, and the part of it that is for one user, as the options of a command ask for them. */

#include "policy/decision.h"
#include "policy/tool/options.h"

int load_policy(struct policy *policy, const struct tool_options *options);
int load_selection(struct selection *selection, struct subject *subject,
                   const struct policy *policy, const struct tool_options *options);
