#pragma once

/* Opens and closes the caller's terminal and the command's pty. */

#include "launcher/terminal/terminal.h"

int terminal_open(struct terminal *terminal);
int terminal_resize_pty(struct terminal *terminal);
void terminal_close(struct terminal *terminal);
