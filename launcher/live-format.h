#pragma once

/* The list of live commands as a table for people, and as JSON for programs. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "utsbroker/live.h"

void live_format_table(const struct live_command *commands, size_t n, bool has_users, FILE *out);
void live_format_json(const struct live_command *commands, size_t n, FILE *out);
