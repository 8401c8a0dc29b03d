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

#include "utsbroker/protocol.h"

/* What the session says to the gate, together with the launch description's descriptor. */
struct gate_verdict {
    uint32_t names; /* PROTOCOL_HOSTNAME, PROTOCOL_DOMAINNAME or both */
    uint32_t is_setuid;
    char hostname[PROTOCOL_NAME_SIZE];
    char domainname[PROTOCOL_NAME_SIZE];
};

/* What the gate says if it could not become the command. */
struct gate_report {
    int32_t status; /* enum protocol_status */
    int32_t error;  /* errno */
};

struct gate {
    pid_t pid;
    int pidfd;
    int channel;
};

#define GATE_NULL                                                                                  \
    { .pid = 0, .pidfd = -1, .channel = -1 }

int gate_check_limit(void);
int gate_open(struct gate *gate, bool may_setuid, int session_channel);
int gate_release(const struct gate *gate, const struct gate_verdict *verdict, int launch_fd);
int gate_wait(const struct gate *gate, struct gate_report *reportp);
