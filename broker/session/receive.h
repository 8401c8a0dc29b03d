#pragma once

/* Step 7 of a session. session.c does the steps before it. */

#include <stdbool.h>

struct session;

bool receive_request(struct session *session);
