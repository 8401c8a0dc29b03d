#include "launcher/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/signals.h"
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

/* What the broker's process needs until it executes. */
struct broker_start {
    int session_fd;
    const sigset_t *mask;
    int error;
};

/* Async-signal-safe: it borrows its parent's memory. */
static int broker_execute(void *context) {
    struct broker_start *start = context;
    char name[] = "utsbroker", option[] = "--session-fd", number[16];
    char *const arguments[] = {name, option, number, NULL};
    /* The broker needs nothing from it, and the command's travels in the launch description. */
    char *const environment[] = {NULL};

    (void)snprintf(number, sizeof(number), "%d", start->session_fd);
    if (fcntl(start->session_fd, F_SETFD, 0) == 0 && signals_set_mask(start->mask, NULL) == 0)
        (void)execve(BROKER_PATH, arguments, environment);
    start->error = errno;
    return 127;
}

/*
 * As vfork(2), which musl has on some processors only. Not posix_spawn(3): glibc's leaves the
 * signals 32 and 33 ignored in what it executes, and the command would inherit that. The child
 * borrows this memory until it executes, and no signal has a handler here. The session's descriptor
 * is the only one that it lets through, and it gives the broker the caller's signal mask.
 */
static int broker_spawn(pid_t *pidp, int session_fd, const sigset_t *mask) {
    static char stack[32768] __attribute__((aligned(16)));
    struct broker_start start = {.session_fd = session_fd, .mask = mask};
    pid_t pid =
        clone(broker_execute, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, &start);

    if (pid < 0)
        return -errno;
    if (start.error != 0) {
        (void)waitpid(pid, NULL, 0);
        return -start.error;
    }
    *pidp = pid;
    return 0;
}

/* This process's children, as the kernel lists them (proc(5)); none if it does not. */
static size_t children_list(pid_t *pids, size_t max) {
    char path[64];
    FILE *children;
    size_t n = 0;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    children = fopen(path, "re");
    if (children == NULL)
        return 0;
    while (n < max && fscanf(children, "%d", &pids[n]) == 1)
        n++;
    (void)fclose(children);
    return n;
}

/* Only a process that had children before it executed utsrun has any to list. */
static bool has_children(void) {
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

static bool pids_contain(const pid_t *pids, size_t n, pid_t pid) {
    for (size_t i = 0; i < n; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

/* Orphans become children of the first process of a pid namespace and of a subreaper (prctl(2)). */
static bool adopts_orphans(void) {
    int is_subreaper = 1;

    return getpid() == 1 || prctl(PR_GET_CHILD_SUBREAPER, &is_subreaper) < 0 || is_subreaper != 0;
}

/*
 * The gate of a broker that died without a word: the one child that is not the broker and was not
 * there before. Returns its pid, or 0 if there is none, or none that it is certain of.
 */
pid_t direct_find_gate(const struct direct *direct) {
    pid_t now[DIRECT_CHILDREN_MAX];
    size_t n = children_list(now, BASE_ARRAY_SIZE(now));

    if (!direct->knows_earlier || adopts_orphans())
        return 0;
    for (size_t i = 0; i < n; i++)
        if (now[i] != direct->broker && !pids_contain(direct->earlier, direct->n_earlier, now[i]))
            return now[i];
    return 0;
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

    direct->n_earlier = 0;
    direct->knows_earlier = true;
    if (has_children()) {
        direct->n_earlier = children_list(direct->earlier, BASE_ARRAY_SIZE(direct->earlier));
        direct->knows_earlier = direct->n_earlier > 0 && direct->n_earlier < DIRECT_CHILDREN_MAX;
    }
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
