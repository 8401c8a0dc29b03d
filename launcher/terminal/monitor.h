#pragma once

/* Speaks to the monitor of the command (utsbroker/monitor.h). */

#include <sys/types.h>

#include "launcher/terminal/terminal.h"

void terminal_tell_monitor(struct terminal *terminal);
void terminal_continue_command(struct terminal *terminal);
int terminal_receive_command(struct terminal *terminal, pid_t *pidp, int *pidfdp,
                             int *monitor_pidfdp);
int terminal_receive_stop(struct terminal *terminal);
