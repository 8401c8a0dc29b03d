#pragma once

/* What becomes of the terminals when the command has ended and others still use its pty. */

#include "launcher/terminal/terminal.h"

void terminal_give_back(const struct terminal *terminal);
void terminal_leave(struct terminal *terminal);
