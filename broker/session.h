#pragma once

/* The session: one request, from the first privileged step to the reply. */

#include <stddef.h>

/* Where a session gets its request, and by which policy it decides. */
struct session_setup {
    int channel; /* to the launcher; the session's own */
    const char *const *policy_folders;
    size_t n_policy_folders;
};

_Noreturn void session_run(const struct session_setup *setup);
