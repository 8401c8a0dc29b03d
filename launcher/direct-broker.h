#pragma once

/* The broker of direct mode: a child of utsrun, started for one request. */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { DIRECT_BROKER_CHILDREN_MAX = 64 };

struct direct_broker {
    pid_t pid;
    int channel;
    pid_t earlier[DIRECT_BROKER_CHILDREN_MAX]; /* children that this process had before */
    size_t n_earlier;
    bool knows_earlier; /* @earlier has all of them */
};

int direct_broker_start(struct direct_broker *broker, const sigset_t *mask, bool leaves_terminal);
pid_t direct_broker_find_gate(const struct direct_broker *broker);
