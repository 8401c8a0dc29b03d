#pragma once

/*
 * The connection of a session, or of the service, to the ledger (utsbroker/ledger.h). It is made
 * while CAP_SYS_ADMIN is effective; what follows is permitted behind the session's seccomp filter.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "utsbroker/ledger.h"

enum {
    LEDGER_LINK_E_NONE = 1, /* this machine has no ledger: only root can make it so */
    LEDGER_LINK_E_ENDS,     /* the ledger has said that it ends */
};

int ledger_link_open(int flags, bool comes_back, int *linkp);
int ledger_link_receive_hello(int link, struct ledger_hello *hellop);
int ledger_link_check(int link);
int ledger_link_send(int link, const struct ledger_event *event, int pidfd);
int ledger_link_receive_reply(int link, struct ledger_reply *replyp);
