#pragma once

/* The line that tells the user why the broker refused a request, and what to do. */

#include <signal.h>

#include "launcher/options.h"
#include "utsbroker/protocol.h"

int refusal_report(const struct options *options, const struct protocol_reply *reply,
                   const sigset_t *mask);
