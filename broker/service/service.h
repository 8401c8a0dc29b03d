#pragma once

/*
 * The service: listens, and lets a session serve each client. It reads no stranger's byte; what it
 * reads is what its own sessions say (broker/session/session-messages.h), and /proc of whoever
 * connects.
 */

#include <stddef.h>

#include "broker/listener.h"
#include "broker/service/handover.h"

struct service_setup {
    struct listener listener;
    const char *const *policy_folders;
    size_t n_policy_folders;
    unsigned idle_exit_seconds;      /* 0: never */
    const struct handover *handover; /* of the program before; NULL: there was none */
};

_Noreturn void service_run(const struct service_setup *setup);
