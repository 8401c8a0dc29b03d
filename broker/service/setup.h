#pragma once

/* What the service is told, how it sets up its process, and closes what its children do not need.
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

int setup_descriptors(void);
int setup_close_all_but(const int *fds, size_t n_fds);
int setup_privilege(void);
