#pragma once

/*
 * What any execve(2) keeps, and the service's command would not have: it descends from the service.
 * Gathered here for the request.
 */

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "launcher/terminal/terminal.h"
#include "utsbroker/channel.h"
#include "utsbroker/launch.h"

struct inheritance {
    int fds[CHANNEL_FDS_MAX];         /* this process's; not owned */
    int32_t numbers[CHANNEL_FDS_MAX]; /* what they are for the command, ascending */
    size_t n_fds;
    uint32_t umask;
    uint64_t ignored_signals; /* bit N - 1: signal N */
    const sigset_t *mask;     /* the caller's; not owned */
};

enum {
    INHERIT_E_TOO_MANY = 1, /* more descriptors than one record carries */
};

int inherit_collect(struct inheritance *inheritance, const struct terminal *terminal,
                    const sigset_t *mask);
int inherit_describe(const struct inheritance *inheritance, struct launch_header *header);
