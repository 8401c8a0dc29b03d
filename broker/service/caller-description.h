#pragma once

/* What the service finds out about a client for the session that serves it. */

#include "broker/service/peer.h"
#include "broker/session/session.h"
#include "policy/subject.h"

struct caller_description {
    struct session_client record; /* for the session */
    int log_fd; /* the record says what it is; -1: there is a ledger, or no log daemon */
    pid_t pid;
};

#define CALLER_DESCRIPTION_NULL                                                                    \
    { .log_fd = -1 }

int caller_describe(struct caller_description *description, int connection,
                    const struct subject *subject, const struct peer_reference *reference,
                    bool has_proved);
void caller_description_deinit(struct caller_description *description);

#define CLEANUP_CALLER_DESCRIPTION __attribute__((cleanup(caller_description_deinit)))
