#pragma once

/* What binds a caller, as the kernel reports it. */

#include <sys/types.h>

#include "broker/session/caller-context.h"

int caller_limits_read(struct limits *limits, pid_t pid, int folder);
void caller_limits_compare(struct limits *limits, const struct limits *own);
