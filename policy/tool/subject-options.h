#pragma once

/* For whom a policy is looked at: this process, or a user and groups that were named. */

#include "policy/subject.h"
#include "policy/tool/options.h"

int somebody_init(struct subject *subject, const struct policy *policy,
                  const struct tool_options *options);
