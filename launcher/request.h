#pragma once

/* What the launcher sends: the request, and the launch description of the command. */

#include <stdint.h>

#include "launcher/options.h"
#include "utsbroker/protocol.h"

void request_init(struct protocol_request *request, const struct options *options);
int request_write_launch(int *launch_fdp, const struct options *options, char **environment,
                         uint32_t closed_stdio);
