#pragma once

/* Tells the user why a request was refused, and what to do now. */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "launcher/options.h"
#include "utsbroker/protocol.h"

struct refusal {
    struct protocol_reply reply;
    sigset_t mask; /* the caller's signal mask, for utspolicy */
};

void refusal_print_version(uint32_t version, bool is_service);
int refusal_print(const struct options *options, const struct refusal *refusal);
