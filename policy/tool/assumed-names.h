#pragma once

/* Users and groups of another machine: their names stand for themselves, and are not looked up. */

#include "policy/subject.h"
#include "policy/tool/options.h"

int assumed_names_add(struct subject *subject, const struct policy *policy,
                      const struct tool_options *options);
