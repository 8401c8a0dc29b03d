#pragma once

/*
 * The state of one session. session.c (steps 1 to 6, before the seccomp filter), receive.c (step 7,
 * behind it) and decide.c (steps 8 to 10) share it; nothing else includes this file.
 */

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "broker/session/gate.h"
#include "broker/session/policy-snapshot.h"
#include "broker/session/session-messages.h"
#include "broker/session/session-setup.h"
#include "broker/session/syslog.h"
#include "policy/decision.h"
#include "policy/subject.h"
#include "utsbroker/channel.h"
#include "utsbroker/ledger.h"
#include "utsbroker/protocol.h"

/*
 * How long a session waits for the request in direct mode, and how old the policy may be when it
 * decides.
 */
enum {
    SESSION_PATIENCE_SECONDS = 10,
    SESSION_GATE_SECONDS = 1, /* then the service is told that the gate takes long */
};

/*
 * The UTS namespace that this process is in, and so the names that the gate inherits. Direct mode
 * only: the service is in the machine's own.
 */
struct uts_names {
    uint64_t device, inode; /* 0: not known, or not needed */
    char hostname[PROTOCOL_NAME_SIZE];
    char domainname[PROTOCOL_NAME_SIZE];
};

/*
 * @status is PROTOCOL_GRANTED until something refuses the request. The first refusal stays, and
 * @reason says why in the log.
 */
struct session {
    const struct session_setup *setup;
    int channel;        /* to the launcher */
    uint32_t version;   /* of the protocol, that the launcher speaks; this one until it is known */
    bool is_privileged; /* CAP_SYS_ADMIN is effective */
    enum protocol_status status;
    int error; /* an errno, or 0 */
    char reason[LEDGER_REASON_SIZE];
    unsigned refused_names; /* PROTOCOL_HOSTNAME, PROTOCOL_DOMAINNAME or both */

    struct subject subject;              /* the user that this process runs as */
    struct caller_difference difference; /* the service */
    enum protocol_confinement confinement;
    struct policy_snapshot own_snapshot; /* direct mode only */
    struct selection selection;
    const struct policy_rule *rule; /* the rule that decided, or NULL */
    int ledger;                     /* the connection (broker/ledger-link.h); -1: none */
    struct ledger_hello hello;      /* version 0: not heard yet */
    bool has_no_ledger;             /* this machine has none */
    struct syslog_link syslog;      /* then */
    struct uts_names own_names;
    struct gate gate;
    uint64_t uts_namespace; /* the gate's, if the request asks for it; else 0 */
    struct timespec loaded; /* when the policy was known to be current, CLOCK_MONOTONIC */

    struct protocol_request request; /* all zero until a valid one is received */
    struct channel_fds fds;          /* the request's descriptors */
    unsigned inherited_names;        /* those of @request that were not asked for */
    uint32_t n_live;                 /* what the ledger said of a limit */
    uint32_t limit;
};

__attribute__((format(printf, 4, 5))) void session_refuse(struct session *session,
                                                          enum protocol_status status, int error,
                                                          const char *format, ...);
int session_log_send(struct session *session, enum ledger_kind kind, bool may_run);
int session_log_await(struct session *session);
int session_log(struct session *session, enum ledger_kind kind, bool may_run);
int session_reply(const struct session *session);
int session_hear_ledger(struct session *session);
void session_tell_service(const struct session *session, enum session_word word);
