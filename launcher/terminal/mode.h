#pragma once

/* Keeps the mode of the caller's terminal and that of the command's pty in step. */

#include "launcher/terminal/terminal.h"

bool terminal_get_mode(int fd, struct termios *modep);
int terminal_set_pty_mode(struct terminal *terminal, const struct termios *users);
void terminal_update_foreground(struct terminal *terminal);
void terminal_take_mode(struct terminal *terminal, bool has_come);
void terminal_continue(struct terminal *terminal);
void terminal_mirror(struct terminal *terminal);
void terminal_leave_mode(struct terminal *terminal);
void terminal_restore_mode(struct terminal *terminal);
bool terminal_adds_returns(const struct terminal *terminal);
