#pragma once

/* Moves bytes and signals between the caller's terminal and the command's pty. */

#include <poll.h>

#include "launcher/terminal/terminal.h"

int terminal_prepare_poll(struct terminal *terminal, struct pollfd *readyp);
void terminal_relay(struct terminal *terminal);
void terminal_signal(const struct terminal *terminal, int signal_number);
void terminal_drain(struct terminal *terminal);
bool terminal_read_output(struct terminal *terminal);
void terminal_write_output(struct terminal *terminal);
