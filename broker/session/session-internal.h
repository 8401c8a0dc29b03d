#pragma once

/*
 * The state of one session. session.c (steps 1 to 6, before the seccomp filter) and decide.c
 * (steps 7 to 10, behind it) share it; nothing else includes this file.
 */

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "broker/audit.h"
#include "broker/session/gate.h"
#include "broker/session/policy-snapshot.h"
#include "broker/session/session-setup.h"
#include "policy/decision.h"
#include "policy/subject.h"
#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

/*
 * How long a session waits for the request in direct mode, and how old the policy may be when it
 * decides.
 */
enum { SESSION_PATIENCE_SECONDS = 10 };

/*
 * @status is PROTOCOL_GRANTED until something refuses the request. The first refusal stays, and
 * @reason says why in the log.
 */
struct session {
    const struct session_setup *setup;
    int channel; /* to the launcher */
    enum protocol_status status;
    int error; /* an errno, or 0 */
    char reason[256];
    unsigned refused_names; /* PROTOCOL_HOSTNAME, PROTOCOL_DOMAINNAME or both */

    struct subject subject; /* the user that this process runs as */
    bool groups_differ;     /* the service: its groups are not the caller's */
    enum protocol_confinement confinement;
    struct policy_snapshot own_snapshot; /* direct mode only */
    struct selection selection;
    const struct policy_rule *rule; /* the rule that decided, or NULL */
    struct audit audit;
    struct gate gate;
    uint64_t uts_namespace; /* the gate's, if the request asks for it; else 0 */
    struct timespec loaded; /* when the policy was known to be current, CLOCK_MONOTONIC */

    struct protocol_request request; /* all zero until a valid one is received */
    struct channel_fds fds;          /* the request's descriptors */
};

__attribute__((format(printf, 4, 5))) void session_refuse(struct session *session,
                                                          enum protocol_status status, int error,
                                                          const char *format, ...);
int session_log(const struct session *session, enum audit_kind kind);
int session_reply(const struct session *session);
