#pragma once

/*
 * The jobs of a command: process groups that its processes have made, as a shell does for each of
 * its jobs, and GNU parallel on a host.
 */

#include <sys/types.h>

void jobs_hang_up(pid_t command);
