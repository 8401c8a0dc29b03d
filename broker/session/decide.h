#pragma once

/* Steps 7 to 10 of a session: receive the request, decide, release the gate, reply. */

#include <stdbool.h>

struct session;

bool decide_request(struct session *session);
