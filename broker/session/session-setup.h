#pragma once

/* What a session gets from the process that starts it, and how it ends. */

#include <stdbool.h>
#include <stddef.h>

#include "broker/session/policy-snapshot.h"

/* The exit status of a session in direct mode. The service reads SESSION_GRANTED instead. */
enum {
    SESSION_EXIT_GRANTED,
    SESSION_EXIT_REFUSED,
};

/* What the service gives a session. */
struct session_service {
    int control;   /* a channel to the service (session-messages.h); the session owns it */
    bool is_ahead; /* a ready session: made before there is a client. If it fails it just ends. */
    const struct policy_snapshot *snapshot;
};

/* Where a session gets its request, and which policy it decides by. */
struct session_setup {
    int channel; /* to the launcher; the session owns it. The service sends it later: -1 until then
                  */
    const char *const *policy_folders;
    size_t n_policy_folders;
    const struct session_service *service; /* NULL: direct mode, the session loads the policy */
};
