#pragma once

/*
 * The caller's context: what a command inherits from the process that starts it. In direct mode the
 * gate descends from the caller and inherits all of it. In service mode the gate descends from the
 * service, and takes the caller's context here.
 */

#include <stdint.h>
#include <sys/resource.h>

#include "broker/session/launch.h"
#include "utsbroker/channel.h"

/* The caller's limits, as the kernel reports them to the service. They bind the command too. */
struct limits {
    struct rlimit all[RLIM_NLIMITS]; /* of setrlimit(2), by the resource */
    int nice;
};

/* What the gate needs besides the command's descriptors. */
struct caller_channels {
    int session;  /* the gate's to its session */
    int terminal; /* the pty's slave, this session's controlling terminal; or -1 */
    int monitor;  /* to utsrun (utsbroker/monitor.h); or -1 */
};

int caller_context_set_limit(int resource, const struct rlimit *wanted);
int caller_context_apply(const struct launch *launch, const struct channel_fds *fds, uint32_t flags,
                         const struct limits *limits, struct caller_channels *channels);
