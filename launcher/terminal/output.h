#pragma once

/* Moves what the command writes to the caller's terminal. */

#include "launcher/terminal/terminal.h"

bool terminal_read_output(struct terminal *terminal);
void terminal_write_output(struct terminal *terminal);
void terminal_relay_output(struct terminal *terminal);
