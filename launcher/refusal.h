#pragma once

/* Tells the user why a request was refused, and what to do now. */

#include <signal.h>

#include "launcher/options.h"
#include "utsbroker/protocol.h"

int refusal_print(const struct options *options, const struct protocol_reply *reply,
                  const sigset_t *mask);
