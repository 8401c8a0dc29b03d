#pragma once

/* Direct mode: utsrun starts a broker of its own, and the command is its child. */

#include <stdint.h>

#include "launcher/options.h"
#include "launcher/refusal.h"

void direct_client_run(const struct options *options, uint32_t closed_stdio,
                       struct refusal *refusalp);
