#pragma once

/* The user and groups that the options name, or those of this process. */

#include "policy/subject.h"
#include "policy/tool/options.h"

int subject_init_from_options(struct subject *subject, const struct policy *policy,
                              const struct tool_options *options);
