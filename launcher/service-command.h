#pragma once

/*
 * A command of the service, after the request was granted. The service is its parent and sends a
 * notice when it stops or ends. utsrun passes signals on, relays its terminal, and ends as it does.
 */

#include <stdint.h>
#include <sys/types.h>

#include "launcher/abandon.h"
#include "launcher/options.h"
#include "launcher/supervisor.h"
#include "launcher/terminal/terminal.h"

struct service_command {
    const struct options *options;
    pid_t pid;
    int pidfd;
    int monitor_pidfd;    /* of its monitor, if it has a terminal; or -1 */
    int channel;          /* to the service; -1: the service has ended */
    int64_t suspended_ms; /* CLOCK_MONOTONIC: the terminal has last sent SIGTSTP to this group */
    struct terminal terminal;
    struct supervisor supervisor;
    struct abandon abandon; /* only of a command without the terminal */
};

_Noreturn void service_command_fail(struct service_command *command);
_Noreturn void service_command_supervise(struct service_command *command);
