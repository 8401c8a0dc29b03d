#pragma once

/* The signals that the service sends to a command, which was a gate and leads a process group. */

#include <stdint.h>

#include "broker/service/reaper.h"

void command_end(const struct child *command, int signal_number);
void command_kill(const struct child *command);
int command_choose_signal(uint32_t bits);
void command_hang_up(const struct child *command, int signal_number);
