#pragma once

/* What the service itself writes to the log: ends of commands, errors of the policy. Sessions log
 * their requests. */

#include "broker/audit.h"
#include "policy/subject.h"

int service_log_write(const struct subject *subject, struct audit_event *event);
