#pragma once

/* Names one by one: for `names`, for `hosts`, which gives them addresses, and for `list --names`.
 */

#include "policy/lint/name-list.h"
#include "policy/tool/options.h"

int names_load(struct name_list *list, const struct tool_options *options,
               enum policy_name_kind kind, bool has_patterns);
int names_finish(const struct name_list *list);
