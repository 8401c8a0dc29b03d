#pragma once

/* The session: the process that serves one request, from the first privileged step to the reply. */

#include "broker/session/session-messages.h"
#include "broker/session/session-setup.h"

_Noreturn void session_run(const struct session_setup *setup);
