#pragma once

/* Moves bytes and signals between the caller's terminal and the command's pty. */

#include <poll.h>

#include "launcher/terminal/terminal.h"

int terminal_prepare_poll(struct terminal *terminal, struct pollfd *readyp);
void terminal_relay(struct terminal *terminal);
void terminal_signal(struct terminal *terminal, int signal_number);
void terminal_drain(struct terminal *terminal);
