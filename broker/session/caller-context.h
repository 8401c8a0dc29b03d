#pragma once

/*
 * The caller's place: what a command has from whoever starts it. In direct mode the gate descends
 * from the caller and has all of it; the service's gate descends from the service and takes it
 * here.
 */

#include <stdint.h>
#include <sys/resource.h>

#include "broker/session/launch.h"
#include "utsbroker/channel.h"

/* What holds for the caller by the kernel's word, not by theirs: it holds for the command as well.
 */
struct limits {
    struct rlimit all[RLIM_NLIMITS]; /* of setrlimit(2), by their numbers */
    int nice;
};

int caller_context_set_limit(int resource, const struct rlimit *wanted);
int caller_context_apply(const struct launch *launch, const struct channel_fds *fds, uint32_t flags,
                         const struct limits *limits, int *channelp);
