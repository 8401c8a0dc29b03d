#pragma once

/*
 * Signals and children: utsrun stands between a shell and the command and behaves as if it were not
 * there.
 */

#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <sys/types.h>

struct supervisor {
    sigset_t original_mask; /* the caller's: for the broker and the command */
    int signal_fd;
    bool is_forwarding;
    pid_t broker; /* to be reaped when it ends, while the command lives; 0: none */
};

#define SUPERVISOR_NULL                                                                            \
    { .signal_fd = -1 }

enum {
    SUPERVISE_E_ENDED = 1, /* the child ended */
};

int supervise_block(struct supervisor *supervisor);
int supervise_watch(struct supervisor *supervisor);
int supervise_forward(struct supervisor *supervisor);
int supervise_wait(struct supervisor *supervisor, pid_t child, int readable_fd, int *statusp);
/* Who is who when a signal has come. */
struct signal_parties {
    pid_t self, child;
    bool is_session_leader;    /* this process */
    bool has_child_left_group; /* the child is not in this process's group */
};

bool supervise_is_forwarded(const struct signalfd_siginfo *info,
                            const struct signal_parties *parties);
void supervise_stop_like(int signal_number);
_Noreturn void supervise_end_like(int wait_status);
