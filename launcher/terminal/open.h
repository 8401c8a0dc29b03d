#pragma once

/* Opens and closes the user's terminal and the command's pty. */

#include "launcher/terminal/terminal.h"

int terminal_open(struct terminal *terminal);
void terminal_close_slave(struct terminal *terminal);
int terminal_resize_pty(struct terminal *terminal);
void terminal_close(struct terminal *terminal);
