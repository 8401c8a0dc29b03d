#pragma once

/* What scripts read from --status-fd: a line of JSON when the command runs, and one when it ended.
 */

#include "launcher/options.h"
#include "utsbroker/protocol.h"

void status_tell_running(const struct options *options, const struct protocol_reply *reply,
                         const char *mode);
void status_tell_end(const struct options *options, int wait_status);
void status_tell_unknown_end(const struct options *options);
