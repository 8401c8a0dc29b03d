#pragma once

/* Tells the user why a request was refused, and what to do now. */

#include <signal.h>

#include "launcher/options.h"
#include "utsbroker/protocol.h"

struct refusal {
    struct protocol_reply reply;
    sigset_t mask; /* the caller's signal mask, for utspolicy */
};

int refusal_print(const struct options *options, const struct refusal *refusal);
