#pragma once

/*
 * The gate: the process that becomes the command. The session makes it in a new UTS namespace while
 * it holds CAP_SYS_ADMIN, before it reads a request, and before the filter, which the gate would
 * inherit. The gate waits for the session's verdict, sets the names, drops every privilege, and
 * only then reads what the user sent. It executes the command when it is released: meanwhile the
 * session has the grant logged.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/session/caller-context.h"
#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

/* What the session sends to prepare the gate, with the descriptors of the request. */
struct gate_verdict {
    uint32_t names;     /* PROTOCOL_HOSTNAME, PROTOCOL_DOMAINNAME or both */
    uint32_t is_setuid; /* the rule says setuid: the command may gain new privileges */
    uint32_t flags;     /* of the request */
    char hostname[PROTOCOL_NAME_SIZE];
    char domainname[PROTOCOL_NAME_SIZE];
};

/* What the gate sends: its UTS namespace, if the request asks for it; an error, if it fails. */
struct gate_report {
    int32_t status; /* enum protocol_status; PROTOCOL_GRANTED: this is the namespace */
    int32_t error;  /* errno */
    uint64_t uts_namespace;
};

struct gate {
    pid_t pid;
    int pidfd;
    int channel;
};

#define GATE_NULL                                                                                  \
    { .pid = 0, .pidfd = -1, .channel = -1 }

/* What is fixed before the session reads the request. */
struct gate_setup {
    bool may_setuid;    /* some rule for this user says setuid */
    bool is_service;    /* it takes the caller's context; gate_send_limits() must be called */
    pid_t launcher;     /* direct mode: must be the gate's parent, else the launcher has ended */
    int session_fds[2]; /* the session's channels, which the gate closes; -1: none */
};

int gate_check_limit(void);
int gate_open(struct gate *gate, const struct gate_setup *setup);
int gate_send_limits(const struct gate *gate, const struct limits *limits);
int gate_prepare(const struct gate *gate, const struct gate_verdict *verdict,
                 const struct channel_fds *fds);
int gate_release(const struct gate *gate);
int gate_wait(const struct gate *gate, struct gate_report *reportp);
