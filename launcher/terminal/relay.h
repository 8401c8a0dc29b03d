#pragma once

/* Moves bytes and signals between the caller's terminal and the command's pty. */

#include <poll.h>
#include <sys/types.h>

#include "launcher/terminal/terminal.h"

int terminal_prepare_poll(struct terminal *terminal, struct pollfd *readyp);
void terminal_relay(struct terminal *terminal);
void terminal_signal(struct terminal *terminal, int signal_number);
bool terminal_is_command_in_front(const struct terminal *terminal, pid_t command);
void terminal_drain(struct terminal *terminal);
