#pragma once

/* What the service itself writes to the log; requests are its sessions' to log. */

#include <sys/types.h>

struct service;

void service_log_end(const struct service *service, pid_t pid, int wait_status);
void service_log_policy(struct service *service);
