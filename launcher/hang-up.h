#pragma once

/*
 * A command without the launcher's terminal and outside of its process group, as utsrsh runs it: no
 * signal of the terminal reaches it, so it must learn otherwise that the launcher has ended or has
 * stopped.
 */

#include <sys/types.h>

struct hang_up {
    pid_t group;
    int ends[2];
};

#define HANG_UP_NULL                                                                               \
    {                                                                                              \
        .ends = { -1, -1 }                                                                         \
    }

void hang_up_begin(struct hang_up *hang_up, pid_t group);
void hang_up_cancel(struct hang_up *hang_up);
void hang_up_follow_stops(pid_t group, int pidfd);
_Noreturn void hang_up_end(pid_t command, int signal_number);
