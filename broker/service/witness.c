#include "broker/service/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/privilege.h"
#include "broker/proc-file.h"
#include "broker/service/setup.h"
#include "utsbroker/base.h"
#include "utsbroker/compat.h"

#define WITNESS_NAME "utsb-witness" /* of the process, PR_SET_NAME of prctl(2) */

static const unsigned lifetime_seconds = 20; /* the service ends it before */

/*
 * In a fork of the service. Executes this program anew, so that nothing of the service's memory is
 * left, with @ready as descriptor 0, and /dev/null as 1 and 2: 2 of the service may be the service
 * manager's log. From execve(2) on others may attach; who does has a process of @limits.
 *
 * Safe: it only takes rights away. The file may have the capability, too, which a process that
 * holds it keeps over execve(2), also under no_new_privs (capabilities(7)): so it goes first.
 */
static _Noreturn void witness_execute(int ready, pid_t caller, const struct limits *limits) {
    char name[] = WITNESS_NAME, option[] = "--witness", number[16];
    char *argv[] = {name, option, number, NULL}, *environment[] = {NULL};

    (void)snprintf(number, sizeof(number), "%d", (int)caller);
    if (privilege_drop_all() == 0 && dup2(1, 2) == 2 && dup2(ready, 0) == 0 &&
        setup_close_all_but(NULL, 0) == 0 && caller_context_apply_limits(limits) == 0)
        (void)execve("/proc/self/exe", argv, environment);
    _exit(1);
}

/*
 * The witness itself, in the executed program, whose descriptor 0 is the pipe. Lets the process
 * @caller attach, then says so by closing the pipe, and waits until somebody ends it.
 */
_Noreturn void witness_run(pid_t caller) {
    (void)prctl(PR_SET_NAME, WITNESS_NAME, 0, 0, 0);
    (void)alarm(lifetime_seconds);
    if (privilege_drop_all() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 || syscall(SYS_close_range, 1, ~0U, 0) < 0)
        _exit(1);
    /* Fails without Yama, which is as if everybody were permitted. */
    (void)prctl(PR_SET_PTRACER, caller, 0, 0, 0);
    (void)close(0);
    for (;;)
        (void)pause();
}

static void witness_handle_ready(void *argument, uint32_t events) {
    struct witness *witness = argument;

    (void)events;
    loop_remove_source(witness->loop, &witness->ready);
    base_close_fd(&witness->ready.fd);
    witness->function(witness->argument, WITNESS_IS_READY);
}

static void witness_handle_end(void *argument, uint32_t events) {
    struct witness *witness = argument;

    (void)events;
    loop_remove_source(witness->loop, &witness->end);
    witness->function(witness->argument, WITNESS_HAS_ENDED);
}

static int witness_watch(struct witness *witness, struct reaper *reaper, pid_t pid) {
    int r = reaper_add(reaper, &witness->child, pid, NULL, NULL);

    if (r < 0)
        return r;
    witness->end.fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (witness->end.fd < 0)
        return -errno;
    r = loop_add_source(witness->loop, &witness->ready, 0); /* hangups are always reported */
    return r == 0 ? loop_add_source(witness->loop, &witness->end, EPOLLIN) : r;
}

/*
 * Starts a witness for the process @caller, which has @limits: who attaches gains none. @function,
 * with @argument, hears of its events. Returns 0 or a negative errno; witness_end() cleans up in
 * both cases.
 */
int witness_start(struct witness *witness, struct loop *loop, struct reaper *reaper, pid_t caller,
                  const struct limits *limits, witness_function function, void *argument) {
    CLEANUP_FD int theirs = -1;
    int ends[2];
    pid_t pid;

    *witness = (struct witness)WITNESS_NULL;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    theirs = ends[1];
    witness->loop = loop;
    witness->caller = caller;
    witness->function = function;
    witness->argument = argument;
    witness->ready =
        (struct loop_source){.fd = ends[0], .function = witness_handle_ready, .argument = witness};
    witness->end =
        (struct loop_source){.fd = -1, .function = witness_handle_end, .argument = witness};
    pid = fork();
    if (pid == 0)
        witness_execute(theirs, caller, limits);
    return pid < 0 ? -errno : witness_watch(witness, reaper, pid);
}

/*
 * True if the caller has attached to the witness, which has ended: its tracer holds it. If nobody
 * has attached, it may have been reaped; before that its number is its own. Its folder cannot be
 * opened earlier: /proc may be mounted with hidepid=ptraceable, and until it is executed nobody may
 * attach.
 */
bool witness_was_attached(const struct witness *witness) {
    CLEANUP_FREE char *status = NULL;
    CLEANUP_FD int folder = -1;
    char path[32];

    if (!reaper_is_alive(&witness->child))
        return false;
    (void)snprintf(path, sizeof(path), "/proc/%d", (int)witness->child.pid);
    folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return folder >= 0 && proc_file_read(folder, "status", &status) == 0 &&
           proc_file_line_is(status, "\nTracerPid:", 1, (unsigned long)witness->caller);
}

/* Ends the witness, if there is one. It is not waited for: its tracer may hold it. */
void witness_end(struct witness *witness) {
    if (witness->loop == NULL)
        return;
    reaper_signal(&witness->child, SIGKILL);
    reaper_forget(&witness->child);
    loop_remove_source(witness->loop, &witness->ready);
    loop_remove_source(witness->loop, &witness->end);
    base_close_fd(&witness->ready.fd);
    base_close_fd(&witness->end.fd);
    witness->loop = NULL;
}
