#pragma once

/* What a session knows, shared by its two halves: before its filter and behind it. */

#include <stdbool.h>
#include <time.h>

#include "broker/audit.h"
#include "broker/session/gate.h"
#include "broker/session/policy-snapshot.h"
#include "broker/session/session.h"
#include "policy/decision.h"
#include "policy/subject.h"
#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

enum { SESSION_PATIENCE_SECONDS = 10 };

/*
 * All that a session knows. @status is PROTOCOL_GRANTED as long as nothing speaks against the
 * request; what is refused once stays refused, and @reason says why, for the log.
 */
struct session {
    const struct session_setup *setup;
    int channel; /* to the launcher */
    enum protocol_status status;
    int error; /* an errno, or 0 */
    char reason[256];
    unsigned refused_names;

    struct subject subject;
    bool groups_differ; /* the service: from the caller's */
    enum protocol_confinement confinement;
    struct policy_snapshot own_snapshot; /* direct mode: the session's own */
    struct selection selection;
    const struct policy_rule *rule; /* that decided */
    struct audit audit;
    struct gate gate;
    uint64_t uts_namespace; /* the gate's, if that was asked for; else 0 */
    struct timespec loaded; /* when the policy was, CLOCK_MONOTONIC */

    struct protocol_request request; /* all zero until a good one is there */
    struct channel_fds fds;          /* what came with it */
};

__attribute__((format(printf, 4, 5))) void session_refuse(struct session *session,
                                                          enum protocol_status status, int error,
                                                          const char *format, ...);
int session_log(const struct session *session, enum audit_kind kind);
int session_reply(const struct session *session);

bool session_judge(struct session *session);
