#pragma once

/* Moves bytes between the user's terminal and the command's pty. */

#include <poll.h>
#include <sys/types.h>

#include "launcher/terminal/terminal.h"

enum { TERMINAL_POLL_FDS = 2 };

int terminal_prepare_poll(struct terminal *terminal, struct pollfd fds[TERMINAL_POLL_FDS]);
bool terminal_relay(struct terminal *terminal, const struct pollfd fds[TERMINAL_POLL_FDS],
                    pid_t command);
void terminal_drain(struct terminal *terminal);
