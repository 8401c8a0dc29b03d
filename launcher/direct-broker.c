#include "launcher/direct-broker.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/children.h"
#include "launcher/signals.h"
#include "utsbroker/base.h"

/*
 * Moves *@fdp to 3 or above. The caller may have closed 0, 1 and 2, and the command must find them
 * closed: no descriptor of utsrun may take their place.
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

/* What the child needs until it executes the broker. */
struct child_start {
    int session_fd;
    bool leaves_terminal;
    const sigset_t *mask;
    int error;
};

/*
 * Leaves the caller's process group and terminal. Not by setsid(2): a new session is a new group
 * for the scheduler, too (sched_autogroup, sched(7)), which takes longer than all else that utsrsh
 * does.
 */
static int group_leave(void) {
    int terminal;

    if (setpgid(0, 0) < 0)
        return -errno;
    terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (terminal >= 0) {
        (void)ioctl(terminal, TIOCNOTTY); /* of this process, which leads no session */
        (void)close(terminal);
    }
    return 0;
}

/* The child of broker_spawn(). Async-signal-safe, as it shares its parent's memory. */
static int child_execute(void *context) {
    struct child_start *start = context;
    char name[] = "utsbroker", option[] = "--session-fd", number[16];
    char *const arguments[] = {name, option, number, NULL};
    /* The broker needs no environment; the launch description has the command's. */
    char *const environment[] = {NULL};

    (void)snprintf(number, sizeof(number), "%d", start->session_fd);
    if ((!start->leaves_terminal || group_leave() == 0) &&
        fcntl(start->session_fd, F_SETFD, 0) == 0 && signals_set_mask(start->mask, NULL) == 0)
        (void)execve(BROKER_PATH, arguments, environment);
    start->error = errno;
    return 127;
}

/*
 * Starts the broker with the caller's signal mask and only the session's descriptor. Returns 0 or a
 * negative errno.
 *
 * Works as vfork(2), which musl has on some processors only: the child shares this memory until it
 * executes, and no signal has a handler here. Not posix_spawn(3): glibc's leaves the signals 32 and
 * 33 ignored in the new program, and the command would inherit that.
 */
static int broker_spawn(pid_t *pidp, int session_fd, const sigset_t *mask, bool leaves_terminal) {
    static char stack[32768] __attribute__((aligned(16)));
    struct child_start start = {
        .session_fd = session_fd, .mask = mask, .leaves_terminal = leaves_terminal};
    pid_t pid =
        clone(child_execute, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, &start);

    if (pid < 0)
        return -errno;
    if (start.error != 0) {
        (void)waitpid(pid, NULL, 0);
        return -start.error;
    }
    *pidp = pid;
    return 0;
}

/* True if this process has children: it had them before it executed utsrun. */
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

/* The first process of a pid namespace and a subreaper (prctl(2)) get orphans as children. */
static bool adopts_orphans(void) {
    int is_subreaper = 1;

    return getpid() == 1 || prctl(PR_GET_CHILD_SUBREAPER, &is_subreaper) < 0 || is_subreaper != 0;
}

/*
 * Finds the gate of a broker that died before it replied: the one child that is not the broker and
 * that this process did not have before. Returns its pid, or 0 if there is none or it is not
 * certain.
 */
pid_t direct_broker_find_gate(const struct direct_broker *broker) {
    pid_t now[DIRECT_BROKER_CHILDREN_MAX];
    size_t n = children_list(getpid(), getpid(), now, BASE_ARRAY_SIZE(now));

    if (!broker->knows_earlier || adopts_orphans())
        return 0;
    for (size_t i = 0; i < n; i++)
        if (now[i] != broker->pid && !pids_contain(broker->earlier, broker->n_earlier, now[i]))
            return now[i];
    return 0;
}

/*
 * Starts a broker on one end of a new channel. The command will be a child of this process, not of
 * the broker. Broker and command get the signal mask @mask, and inherit ignored signals. With
 * @leaves_terminal both are without the caller's terminal, in a process group with the broker's
 * pid.
 *
 * Returns 0 and fills @broker, whose channel the caller owns. Returns a negative errno: -ENOENT if
 * the broker is not installed, -EACCES if this user may not execute it.
 */
int direct_broker_start(struct direct_broker *broker, const sigset_t *mask, bool leaves_terminal) {
    int ends[2];
    CLEANUP_FD int ours = -1;
    CLEANUP_FD int theirs = -1;
    int r;

    broker->n_earlier = 0;
    broker->knows_earlier = true;
    if (has_children()) {
        broker->n_earlier =
            children_list(getpid(), getpid(), broker->earlier, BASE_ARRAY_SIZE(broker->earlier));
        broker->knows_earlier =
            broker->n_earlier > 0 && broker->n_earlier < DIRECT_BROKER_CHILDREN_MAX;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    ours = ends[0];
    theirs = ends[1];
    r = fd_move_up(&ours);
    if (r == 0)
        r = fd_move_up(&theirs);
    if (r == 0)
        r = broker_spawn(&broker->pid, theirs, mask, leaves_terminal);
    if (r < 0)
        return r;
    broker->channel = base_steal_fd(&ours);
    return 0;
}
