#pragma once

/* Builds what utsrun sends to a broker: the request and the launch description. */

#include <stdint.h>

#include "launcher/inherit.h"
#include "launcher/options.h"
#include "utsbroker/protocol.h"

/* What the launch description says besides the command. */
struct request_place {
    uint32_t closed_stdio;                 /* bit N: descriptor N (0, 1, 2) is closed */
    const struct inheritance *inheritance; /* NULL in direct mode */
};

void request_init(struct protocol_request *request, const struct options *options);
int request_write_launch(int *launch_fdp, const struct options *options, char **environment,
                         const struct request_place *place);
