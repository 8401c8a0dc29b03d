#pragma once

/*
 * The gate: the process that becomes the command. It is made in a new UTS namespace while the
 * broker still holds CAP_SYS_ADMIN, before a stranger's byte was read and before the filter, which
 * it would inherit. It waits for the session's verdict, sets the names, drops everything, and only
 * then looks at what the user sent.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/session/caller-context.h"
#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

/* What the session says to the gate, together with the descriptors of the request. */
struct gate_verdict {
    uint32_t names; /* PROTOCOL_HOSTNAME, PROTOCOL_DOMAINNAME or both */
    uint32_t is_setuid;
    uint32_t flags; /* of the request */
    char hostname[PROTOCOL_NAME_SIZE];
    char domainname[PROTOCOL_NAME_SIZE];
};

/* What the gate says if it could not become the command; before, if asked, in which namespace it
 * is.
 */
struct gate_report {
    int32_t status; /* enum protocol_status; PROTOCOL_GRANTED: it says its namespace */
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

/* What is settled of the gate before the session reads a stranger's byte. */
struct gate_setup {
    bool may_setuid;    /* a rule could leave no_new_privs out */
    bool is_service;    /* the caller's place is to be taken, and gate_limit() will be called */
    pid_t launcher;     /* direct mode: the gate's parent; if that is another, it is gone */
    int session_fds[2]; /* the session's channels, not to be held open by the gate; -1: none */
};

int gate_check_limit(void);
int gate_open(struct gate *gate, const struct gate_setup *setup);
int gate_limit(const struct gate *gate, const struct limits *limits);
int gate_release(const struct gate *gate, const struct gate_verdict *verdict,
                 const struct channel_fds *fds);
int gate_wait(const struct gate *gate, struct gate_report *reportp);
