#include "launcher/hang-up.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/jobs.h"
#include "launcher/pidfd.h"
#include "launcher/program.h"
#include "utsbroker/base.h"

/* For the handler of SIGTSTP. */
static pid_t stopped_group;
static int stopped_pidfd;

/* Has the kernel send SIGHUP to the group of @hang_up when the other end of the pair is closed. */
static int end_watch(struct hang_up *hang_up, int *fdp) {
    int fd =
        fcntl(*fdp, F_DUPFD_CLOEXEC, 3); /* 0, 1 and 2 may be closed: messages must not get here */

    if (fd < 0)
        return -errno;
    base_close_fd(fdp);
    *fdp = fd;
    return fcntl(fd, F_SETOWN, -hang_up->group) < 0 || fcntl(fd, F_SETSIG, SIGHUP) < 0 ||
                   fcntl(fd, F_SETFL, O_ASYNC) < 0
               ? -errno
               : 0;
}

/*
 * Has the kernel send SIGHUP to the process group @group when this process ends, also by SIGKILL.
 *
 * PR_SET_PDEATHSIG would reach the command alone, which may be a shell that waits for others. Here
 * both ends of a socket pair have the kernel signal the group when the other end is closed
 * (F_SETSIG, fcntl(2)), and one of the two is closed first. That takes no further process, and no
 * descriptor in the command. Fails only if no descriptor is to be had, or the group has ended.
 */
void hang_up_begin(struct hang_up *hang_up, pid_t group) {
    *hang_up = (struct hang_up)HANG_UP_NULL;
    hang_up->group = group;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, hang_up->ends) == 0)
        for (size_t i = 0; i < 2; i++)
            if (end_watch(hang_up, &hang_up->ends[i]) < 0)
                return;
}

/* Undoes that. What the command has left behind lives on. */
void hang_up_cancel(struct hang_up *hang_up) {
    for (size_t i = 0; i < 2; i++)
        if (hang_up->ends[i] >= 0)
            (void)fcntl(hang_up->ends[i], F_SETFL, 0);
    for (size_t i = 0; i < 2; i++)
        base_close_fd(&hang_up->ends[i]);
}

static void command_signal(int signal_number) {
    if (stopped_pidfd >= 0)
        (void)pidfd_signal_group(stopped_pidfd, signal_number);
    else
        (void)kill(-stopped_group, signal_number);
}

static void stop_handle(int signal_number) {
    int error = errno;

    (void)signal_number;
    command_signal(SIGSTOP);
    (void)kill(getpid(), SIGSTOP);
    command_signal(SIGCONT);
    errno = error;
}

/*
 * Has the process group @group stop and continue with this process when the user types the key for
 * that: it may read the terminal, and so does the shell then. @pidfd is that of its leader; -1: its
 * members are children of this process.
 */
void hang_up_follow_stops(pid_t group, int pidfd) {
    const struct sigaction action = {.sa_handler = stop_handle, .sa_flags = SA_RESTART};
    struct sigaction before;

    stopped_group = group;
    stopped_pidfd = pidfd;
    if (sigaction(SIGTSTP, NULL, &before) == 0 && before.sa_handler == SIG_DFL)
        (void)sigaction(SIGTSTP, &action, NULL);
}

/*
 * Ends this process, after the jobs of @command (0: it has ended) have heard of it: by the signal
 * @signal_number, which is blocked, or with the status of a failure for 0.
 */
_Noreturn void hang_up_end(pid_t command, int signal_number) {
    sigset_t set;

    jobs_hang_up(command);
    if (signal_number != 0) {
        (void)sigemptyset(&set);
        (void)sigaddset(&set, signal_number);
        (void)kill(getpid(), signal_number);
        (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    }
    _exit(program.status_failed);
}
