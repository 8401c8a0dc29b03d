#pragma once

/* Direct mode: a broker of one's own, started for one request. */

#include <signal.h>
#include <sys/types.h>

struct direct {
    pid_t broker;
    int channel;
};

int direct_start(struct direct *direct, const sigset_t *mask);
