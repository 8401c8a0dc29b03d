#pragma once

/* One child of the service's, that a client knows: its session, or its command. */

#include <stdbool.h>
#include <sys/types.h>

/* A child of the service. It is reaped by nobody else, so its pid is its own as long as it is here.
 */
struct child {
    pid_t pid; /* 0: there is none */
    int pidfd;
    bool has_ended;
    bool is_held; /* it has ended, and a tracer does not let us have it yet (ptrace(2)) */
    int wait_status;
};

int child_init(struct child *child, pid_t pid);
void child_reap(struct child *child);
void child_signal(const struct child *child, int signal_number);
