#pragma once

/* What the service finds out about a client for the session that serves it. */

#include "broker/service/peer.h"
#include "broker/session/session.h"
#include "policy/subject.h"

int caller_describe(int connection, const struct subject *subject,
                    const struct peer_reference *reference, struct session_client *description,
                    int *log_fdp);
