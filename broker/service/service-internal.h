#pragma once

/* The parts of the service, for service.c and service-reload.c. */

#include "broker/loop.h"
#include "broker/service/client.h"
#include "broker/service/closer.h"
#include "broker/service/current-policy.h"
#include "broker/service/end-report.h"
#include "broker/service/peer.h"
#include "broker/service/reaper.h"
#include "broker/service/session-pool.h"
#include "broker/service/setup.h"

struct service {
    const struct service_setup *setup;
    struct loop loop;
    struct reaper reaper;
    struct subject subject;
    struct peer_reference reference;
    struct current_policy policy;
    struct session_pool pool;
    struct closer closer;
    struct end_reports end_reports;
    struct clients clients;
    struct loop_source listener, signals;
    struct loop_timer accept_again, kill, idle, reload;
    int64_t last_busy;
    bool is_accepting;
    bool wants_reload;    /* SIGHUP: when @reload is due, as soon as no client is undecided */
    int64_t reload_pause; /* in milliseconds, after a try that a shortage has prevented; or 0 */
};
