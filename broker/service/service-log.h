#pragma once

/* What the service itself writes to the log. Sessions log their requests. */

#include <sys/types.h>

#include "policy/subject.h"

int service_log_end(const struct subject *subject, pid_t pid, int wait_status);
int service_log_policy_error(const struct subject *subject, const char *error);
