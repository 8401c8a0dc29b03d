#pragma once

/*
 * What a command inherits over execve(2): descriptors, umask, signals, processors, timer slack,
 * memory policy. The service's command descends from the service, not from utsrun, so the request
 * carries all this.
 */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "launcher/terminal/terminal.h"
#include "utsbroker/channel.h"
#include "utsbroker/launch.h"

struct inheritance {
    int fds[CHANNEL_FDS_MAX];         /* of this process; not owned */
    int32_t numbers[CHANNEL_FDS_MAX]; /* the command's numbers for them, ascending */
    size_t n_fds;
    uint32_t umask;
    uint64_t ignored_signals; /* bit N - 1: signal N */
    const sigset_t *mask;     /* the caller's signal mask; not owned */
};

enum {
    INHERIT_E_TOO_MANY = 1, /* more descriptors than one record can carry */
};

int inherit_collect(struct inheritance *inheritance, const struct terminal *terminal,
                    const sigset_t *mask);
void inherit_close(bool keeps_errors);
int inherit_describe(const struct inheritance *inheritance, struct launch_header *header);
