#pragma once

/*
 * The service: listens, and lets a session serve each client. It reads no stranger's byte; what it
 * reads is what its own sessions say (broker/session/session.h), and /proc of whoever connects.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/service/client.h"
#include "broker/service/counters.h"
#include "broker/listener.h"
#include "broker/service/zygote.h"
#include "broker/service/peer.h"
#include "broker/session/policy-snapshot.h"
#include "broker/service/session-pool.h"
#include "policy/fingerprint.h"
#include "policy/subject.h"

struct service_setup {
    struct listener listener;
    const char *const *policy_folders;
    size_t n_policy_folders;
    unsigned idle_exit_seconds; /* 0: never */
};

struct service {
    const struct service_setup *setup;
    int epoll;
    int signals;                     /* signalfd(2) */
    struct subject subject;          /* whose service this is */
    struct peer_reference reference; /* what callers must be in, too */
    struct policy_snapshot snapshot;
    unsigned policy_generation;                     /* how often it was loaded */
    char policy_error[POLICY_SNAPSHOT_REASON_SIZE]; /* the last that was logged */
    bool policy_has_names;                          /* of users or groups, that are looked up */
    struct fingerprint fingerprint;                 /* of the policy, as the snapshot has it */
    struct counters counters;
    struct nursery nursery;       /* forks the spare sessions */
    struct spare spare;           /* a session that has no client yet */
    size_t n_held;                /* children that have ended and that a tracer holds */
    size_t n_talking;             /* clients whose session has not said all */
    int64_t busy_until;           /* the last of those sessions has work to do until then */
    struct client_list silent;    /* connected, and nothing came */
    struct client_list undecided; /* a session reads what came */
    struct client_list decided;   /* a command lives, or somebody is about to end */
    bool is_accepting;
    int64_t accept_again; /* times are milliseconds of CLOCK_MONOTONIC; 0: never */
    int64_t last_asked;
    int64_t kill_at; /* what still lives then, while the service stops */
    int64_t no_spare_before;
    int64_t spare_pause; /* grows with each failure to have one */
    bool has_news;       /* some child has stopped or ended, and nobody has looked which */
    int64_t news_due;
    bool may_have_orphans; /* something has ended that may be no client's */
};

int64_t service_now(void);
void service_refresh_policy(struct service *service);
_Noreturn void service_run(const struct service_setup *setup);
