#pragma once

/*
 * The zygote: a process that the service forks while it has few descriptors, and that forks the
 * ready sessions for it. The service has two descriptors for each live command, and a session that
 * it forked itself would have to close them all. Like the service, the zygote holds CAP_SYS_ADMIN
 * (not effective) and reads no stranger's byte; it has the policy as it was when it was made.
 */

#include <stdbool.h>

#include "broker/service/current-policy.h"
#include "broker/service/reaper.h"

struct zygote {
    struct child process; /* pid 0: there is none */
    int channel;          /* -1: none */
    unsigned generation;  /* of the policy that it has */
};

_Noreturn void zygote_run_session(const struct current_policy *current, int control, bool is_ahead);
int zygote_ask_for_session(struct zygote *zygote, struct reaper *reaper,
                           const struct current_policy *current, int control);
void zygote_end(struct zygote *zygote);
