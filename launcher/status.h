#pragma once

/* Writes to --status-fd, for scripts: a line of JSON when the command runs, and when it ends. */

#include "launcher/options.h"
#include "utsbroker/protocol.h"

void status_write_running(const struct options *options, const struct protocol_reply *reply,
                          const char *mode);
void status_write_end(const struct options *options, int wait_status);
void status_write_unknown_end(const struct options *options);
