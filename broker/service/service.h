#pragma once

/*
 * The service: listens, and lets a session serve each client. It reads no stranger's byte; what it
 * reads is what its own sessions say (broker/session/session-messages.h), and /proc of whoever
 * connects.
 */

#include "broker/service/setup.h"

_Noreturn void service_run(const struct service_setup *setup);
