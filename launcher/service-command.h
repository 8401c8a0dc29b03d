#pragma once

/* A command that the service runs: utsrun relays its terminal and its signals, and ends as it does.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "launcher/options.h"
#include "launcher/supervise.h"
#include "launcher/terminal/terminal.h"

/* A command of the service's, and what is known of it. */
struct service_command {
    const struct options *options;
    pid_t pid;
    int pidfd;
    int channel;       /* to the service; -1: it has ended */
    bool is_suspended; /* by us, as the kernel would have done with the suspend key */
    struct terminal terminal;
    struct supervisor supervisor;
};

void service_command_wait(struct service_command *command);
_Noreturn void service_command_fail(struct service_command *command);
