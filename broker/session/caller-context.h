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

/* What the service found out about a caller whose groups or namespaces are not its own. */
struct caller_difference {
    uint32_t n_groups_lost; /* groups that the service lacks, and so the command */
    uint32_t group; /* one of those; or, if the caller lacks a group of the service, that group */
    uint32_t other_namespace; /* enum protocol_namespace */
};

int caller_context_set_limit(int resource, const struct rlimit *wanted);
int caller_context_apply(const struct launch *launch, const struct channel_fds *fds, uint32_t flags,
                         const struct limits *limits, int *channelp);
