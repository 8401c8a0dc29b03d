#include "launcher/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>

#include "utsbroker/base.h"

/*
 * Moves *@fdp to 3 or above. 0, 1 and 2 may have been closed by the caller, and then belong to the
 * command as closed ones; what is opened meanwhile must not take their place.
 */
static int fd_move_up(int *fdp) {
    int fd;

    if (*fdp > 2)
        return 0;
    fd = fcntl(*fdp, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return -errno;
    base_close_fd(fdp);
    *fdp = fd;
    return 0;
}

/* Lets only this one descriptor through the exec, and gives the broker the caller's signal mask. */
static int broker_spawn(pid_t *pidp, int session_fd, const sigset_t *mask) {
    char name[] = "utsbroker", option[] = "--session-fd", number[16];
    char *const arguments[] = {name, option, number, NULL};
    /* The broker needs nothing from it, and the command's travels in the launch description. */
    char *const environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error;

    (void)snprintf(number, sizeof(number), "%d", session_fd);
    error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return -error;
    error = posix_spawnattr_init(&attributes);
    if (error != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return -error;
    }
    /* dup2 of a descriptor onto itself clears its close-on-exec flag in the child (posix_spawn(3)).
     */
    error = posix_spawn_file_actions_adddup2(&actions, session_fd, session_fd);
    if (error == 0)
        error = posix_spawnattr_setsigmask(&attributes, mask);
    if (error == 0)
        error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (error == 0)
        error = posix_spawn(pidp, BROKER_PATH, &actions, &attributes, arguments, environment);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return -error;
}

/*
 * Starts a broker on one end of a new channel; the command will be this process's child, not the
 * broker's. @mask is the signal mask that broker and command get; ignored signals they inherit.
 *
 * Returns 0 with @direct filled, whose channel the caller owns; a negative errno: -ENOENT, -EACCES
 * if the broker is not where it was installed to.
 */
int direct_start(struct direct *direct, const sigset_t *mask) {
    int ends[2];
    CLEANUP_FD int ours = -1;
    CLEANUP_FD int theirs = -1;
    int r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    ours = ends[0];
    theirs = ends[1];
    r = fd_move_up(&ours);
    if (r == 0)
        r = fd_move_up(&theirs);
    if (r == 0)
        r = broker_spawn(&direct->broker, theirs, mask);
    if (r < 0)
        return r;
    direct->channel = base_steal_fd(&ours);
    return 0;
}
