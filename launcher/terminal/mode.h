#pragma once

/* Keeps the mode of the caller's terminal and that of the command's pty in step. */

#include "launcher/terminal/terminal.h"

int terminal_set_pty_mode(struct terminal *terminal, const struct termios *users);
void terminal_update_foreground(struct terminal *terminal);
void terminal_take_mode(struct terminal *terminal);
bool terminal_mirror(struct terminal *terminal, struct termios *ptyp);
void terminal_restore_mode(struct terminal *terminal);
bool terminal_adds_returns(const struct terminal *terminal);
