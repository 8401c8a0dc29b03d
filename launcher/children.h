#pragma once

/* The processes that a process has started, as the kernel lists them. */

#include <stddef.h>
#include <sys/types.h>

size_t children_list(pid_t pid, pid_t thread, pid_t *pids, size_t max);
