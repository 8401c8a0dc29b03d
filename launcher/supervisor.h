#pragma once

/*
 * Waits for a child, the broker or the command, and forwards signals to it: shell and command
 * behave as if utsrun were not between them.
 */

#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <sys/types.h>

enum {
    SUPERVISOR_E_ENDED = 1, /* the child ended */
};

struct supervisor {
    sigset_t original_mask; /* the caller's signal mask, for the broker and the command */
    int signal_fd;
    bool is_forwarding;
    bool hangs_up; /* a signal that is to end this process does, and the command gets SIGHUP */
    pid_t broker;  /* to reap when it ends, while the command lives; 0: none */
};

#define SUPERVISOR_NULL                                                                            \
    { .signal_fd = -1 }

/* The processes that matter for a signal that has arrived. */
struct signal_parties {
    pid_t self, child;
    bool is_session_leader;    /* this process */
    bool has_child_left_group; /* the child is not in this process's group */
};

int supervisor_block_signals(struct supervisor *supervisor);
int supervisor_watch_children(struct supervisor *supervisor);
int supervisor_take_endings(struct supervisor *supervisor);
int supervisor_forward_signals(struct supervisor *supervisor);
int supervisor_wait_for_child(struct supervisor *supervisor, pid_t child, int readable_fd,
                              int *statusp);
bool supervisor_is_for_child(const struct signalfd_siginfo *info,
                             const struct signal_parties *parties);
bool supervisor_is_hang_up(const struct signalfd_siginfo *info);
void supervisor_stop_self(int signal_number, bool is_for_group);
_Noreturn void supervisor_end_self(int wait_status);
