#pragma once

/* Direct mode: a broker of one's own, started for one request. */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { DIRECT_CHILDREN_MAX = 64 };

struct direct {
    pid_t broker;
    int channel;
    pid_t earlier[DIRECT_CHILDREN_MAX]; /* children that this process had before */
    size_t n_earlier;
    bool knows_earlier; /* all of them */
};

int direct_start(struct direct *direct, const sigset_t *mask);
pid_t direct_find_gate(const struct direct *direct);
