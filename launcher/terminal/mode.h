#pragma once

/* Keeps the mode of the user's terminal and that of the command's pty in step. */

#include "launcher/terminal/terminal.h"

int terminal_set_pty_mode(struct terminal *terminal, const struct termios *users);
void terminal_update_foreground(struct terminal *terminal);
void terminal_update_mode(struct terminal *terminal);
void terminal_restore_mode(struct terminal *terminal);
