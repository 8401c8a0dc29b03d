#pragma once

/* A process that is no child of this one, by its pidfd (pidfd_open(2)). */

#include <sys/types.h>

int pidfd_signal(int pidfd, int signal_number);
int pidfd_signal_group(int pidfd, int signal_number);
int pidfd_wait_status(int pidfd, int *statusp);
