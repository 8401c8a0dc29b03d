#pragma once

/* The service: a broker that listens for this user, and starts the command on our behalf. */

#include <stdint.h>

#include "launcher/options.h"

int service_connect(int *channelp);
_Noreturn void service_run(const struct options *options, uint32_t closed_stdio, int channel);
