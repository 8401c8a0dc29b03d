#pragma once

/*
 * The caller's context: what a command inherits from the process that starts it. In direct mode the
 * gate descends from the caller and inherits all of it. In service mode the gate descends from the
 * service, and takes the caller's context here.
 */

#include <stdint.h>

#include "broker/session/launch.h"
#include "utsbroker/channel.h"
#include "utsbroker/resource.h"

/*
 * What binds the caller, as the kernel reports it to the service. It binds the command too. Each
 * member after @nice can be LIMITS_UNCHANGED: it is the service's own, which the gate inherits.
 */
struct limits {
    struct rlimit all[RLIM_NLIMITS]; /* of setrlimit(2), by the resource */
    int32_t nice;
    int32_t policy;   /* sched_setscheduler(2), with SCHED_RESET_ON_FORK */
    int32_t priority; /* 0, or that of a real-time @policy */
    int32_t io_priority;
    int32_t oom_score_adj;   /* proc_pid_oom_score_adj(5) */
    int32_t coredump_filter; /* core(5) */
};

/* What the gate needs besides the command's descriptors. */
struct caller_channels {
    int session;  /* the gate's to its session */
    int terminal; /* the pty's slave, this session's controlling terminal; or -1 */
    int monitor;  /* to utsrun (utsbroker/monitor.h); or -1 */
    /* Files of this process in /proc, for the caller's settings; or -1 */
    int oom_score_adj, coredump_filter;
};

#define CALLER_CHANNELS_NULL                                                                       \
    { .session = -1, .terminal = -1, .monitor = -1, .oom_score_adj = -1, .coredump_filter = -1 }

enum { LIMITS_UNCHANGED = INT32_MIN };

/* What the service found out about a caller whose groups or namespaces are not its own. */
struct caller_difference {
    uint32_t n_groups_lost; /* groups that the service lacks, and so the command */
    uint32_t group; /* one of those; or, if the caller lacks a group of the service, that group */
    uint32_t other_namespace; /* enum protocol_namespace */
};

int caller_context_set_limit(int resource, const struct rlimit *wanted);
int caller_context_open_files(const struct limits *limits, struct caller_channels *channels);
int caller_context_apply_limits(const struct limits *limits);
int caller_context_apply(const struct launch *launch, const struct channel_fds *fds, uint32_t flags,
                         const struct limits *limits, struct caller_channels *channels);
