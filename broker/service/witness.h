#pragma once

/*
 * A witness: a process of the user's without any confinement or privilege. A caller who may attach
 * to it (PTRACE_SEIZE, ptrace(2)) is not confined by any security module: Landlock, AppArmor and
 * SELinux are asked by the kernel. No file of /proc shows a Landlock domain.
 *
 * The proof cannot be passed on: the kernel says who has attached (TracerPid, proc_pid_status(5)).
 * The caller then ends the witness, and is its tracer until it waits for it or ends.
 */

#include <sys/types.h>

#include "broker/loop.h"
#include "broker/service/reaper.h"
#include "broker/session/caller-context.h"

enum witness_event {
    WITNESS_IS_READY, /* the caller can attach to it */
    WITNESS_HAS_ENDED,
};

typedef void (*witness_function)(void *argument, enum witness_event event);

struct witness {
    struct loop *loop;
    struct child child;
    struct loop_source ready; /* a pipe: the witness closes the other end */
    struct loop_source end;   /* its pidfd */
    pid_t caller;
    witness_function function;
    void *argument;
};

#define WITNESS_NULL                                                                               \
    { .child.pidfd.fd = -1, .ready.fd = -1, .end.fd = -1 }

int witness_start(struct witness *witness, struct loop *loop, struct reaper *reaper, pid_t caller,
                  const struct limits *limits, witness_function function, void *argument);
bool witness_was_attached(const struct witness *witness);
void witness_end(struct witness *witness);
_Noreturn void witness_run(pid_t caller);
