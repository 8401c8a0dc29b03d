#include "launcher/supervise.h"

#include <errno.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/signals.h"
#include "utsbroker/base.h"

/*
 * Blocks every signal, so that none is lost or acted upon before there is a command to give it to,
 * and keeps the caller's mask in @supervisor. Returns 0 or a negative errno.
 */
int supervise_block(struct supervisor *supervisor) {
    sigset_t set;

    /* Also those of faults: a real one gets through a blocked mask, one that is sent is passed on.
     */
    signals_fill(&set);
    return signals_set_mask(&set, &supervisor->original_mask);
}

static int signal_fd_set(struct supervisor *supervisor, const sigset_t *set) {
    int fd = signalfd(supervisor->signal_fd, set, SFD_CLOEXEC | SFD_NONBLOCK);

    if (fd < 0)
        return -errno;
    supervisor->signal_fd = fd;
    return 0;
}

/*
 * Begins to hear of children; other signals wait. To be called behind the start of the first child:
 * a caller that ignored SIGCHLD passes that on to the command, but this process must hear of its
 * children. Returns 0 or a negative errno.
 */
int supervise_watch(struct supervisor *supervisor) {
    const struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t set;

    if (sigaction(SIGCHLD, &action, NULL) < 0)
        return -errno;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    return signal_fd_set(supervisor, &set);
}

/*
 * Lets supervise_wait() pass on the signals that have waited and those to come. To be called when
 * the command is there to get them. Returns 0 or a negative errno.
 */
int supervise_forward(struct supervisor *supervisor) {
    sigset_t set;

    supervisor->is_forwarding = true;
    signals_fill(&set);
    return signal_fd_set(supervisor, &set);
}

/*
 * True if a signal that this process got is to be sent on to the child. Those that the terminal
 * sent (SI_KERNEL, sigaction(2)) went to the whole foreground process group, so a child in this
 * group has them too; one that left it would have had them without utsrun. But of a hangup the
 * session's leader is told first and alone (tty_signal_session_leader() of the kernel), and a timer
 * of this process's is known to nobody else. What the child or this process itself sent to the
 * group comes back to nobody.
 */
bool supervise_is_forwarded(const struct signalfd_siginfo *info,
                            const struct signal_parties *parties) {
    if (info->ssi_signo == SIGCHLD)
        return false;
    if (info->ssi_code != SI_KERNEL)
        return info->ssi_pid != (uint32_t)parties->self &&
               info->ssi_pid != (uint32_t)parties->child;
    switch (info->ssi_signo) {
    case SIGALRM:
        return true;
    case SIGHUP:
    case SIGCONT:
        return parties->is_session_leader || parties->has_child_left_group;
    case SIGINT:
    case SIGQUIT:
    case SIGTSTP:
    case SIGWINCH:
        return parties->has_child_left_group;
    default:
        return false;
    }
}

/*
 * Stops this process by the signal that stopped the command; the shell sees what it would see.
 * Returns when it goes on, or at once if nothing stops it (an orphaned process group, signal(7)).
 */
void supervise_stop_like(int signal_number) {
    const struct sigaction action = {.sa_handler = SIG_DFL};
    struct sigaction before;
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, signal_number);
    if (signal_number == SIGSTOP) {
        (void)kill(getpid(), SIGSTOP);
        return;
    }
    if (sigaction(signal_number, &action, &before) < 0)
        return;
    (void)kill(getpid(), signal_number);
    /* It is delivered here, and this process goes on with the next SIGCONT. */
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)sigaction(signal_number, &before, NULL);
}

/*
 * A shell makes a job's first process the leader of the job's group. Here that is utsrun, not the
 * command: one that makes itself a leader, as timeout(1) does, leaves this group by that.
 */
static bool has_left_group(pid_t child) {
    pid_t group = getpgid(child);

    return group > 0 && group != getpgrp();
}

/* Sends every signal on that has come. The child cannot be somebody else: nobody else reaps it. */
static int signals_forward(const struct supervisor *supervisor, pid_t child) {
    const struct signal_parties parties = {.self = getpid(),
                                           .child = child,
                                           .is_session_leader = getsid(0) == getpid(),
                                           .has_child_left_group = has_left_group(child)};
    struct signalfd_siginfo info;

    for (;;) {
        ssize_t n = read(supervisor->signal_fd, &info, sizeof(info));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        /* What the terminal sends goes to a whole group, also to one that the child leads now. */
        /* EPERM if the command became another user's (a setuid program): as from any shell. */
        if (supervise_is_forwarded(&info, &parties))
            (void)kill(info.ssi_code == SI_KERNEL && getpgid(child) == child ? -child : child,
                       (int)info.ssi_signo);
    }
}

/* Returns SUPERVISE_E_ENDED, or 0 if the child lives; stops with it. */
static int child_look(pid_t child, int *statusp) {
    for (;;) {
        int status;
        pid_t pid = waitpid(child, &status, WNOHANG | WUNTRACED);

        if (pid < 0)
            return -errno;
        if (pid == 0)
            return 0;
        if (!WIFSTOPPED(status)) {
            *statusp = status;
            return SUPERVISE_E_ENDED;
        }
        supervise_stop_like(WSTOPSIG(status));
    }
}

static void broker_reap(struct supervisor *supervisor) {
    if (supervisor->broker != 0 && waitpid(supervisor->broker, NULL, WNOHANG) != 0)
        supervisor->broker = 0;
}

/*
 * Waits until @child has ended or @readable_fd (-1: none) can be read or is closed, and stops when
 * the child stops. Signals are passed on behind supervise_forward(); without it they wait, as the
 * broker that they would end may have let the command go already. But a broker that has said
 * nothing for five seconds hangs, in a user database or a network file system, and then gets them.
 *
 * Returns 0 if the descriptor is ready; SUPERVISE_E_ENDED with the child's wait status in
 * *@statusp, and the child is reaped; a negative errno.
 */
int supervise_wait(struct supervisor *supervisor, pid_t child, int readable_fd, int *statusp) {
    const int patience_ms = 5000;

    for (;;) {
        struct pollfd fds[] = {{.fd = supervisor->signal_fd, .events = POLLIN},
                               {.fd = readable_fd, .events = POLLIN}};
        int r = child_look(child, statusp);
        int n_ready;

        if (r != 0)
            return r;
        broker_reap(supervisor);
        n_ready = poll(fds, BASE_ARRAY_SIZE(fds), supervisor->is_forwarding ? -1 : patience_ms);
        if (n_ready < 0 && errno != EINTR)
            return -errno;
        if (n_ready > 0 && fds[1].revents != 0)
            return 0;
        if (n_ready == 0)
            r = supervise_forward(supervisor);
        else if (n_ready > 0)
            r = signals_forward(supervisor, child);
        if (r < 0)
            return r;
    }
}

/*
 * Ends this process as the child ended: with its exit code, or killed by the same signal. A core,
 * if any, was the child's to leave; this process leaves none (PR_SET_DUMPABLE: a limit of 0 does
 * not stop a core that is piped to a program, core(5)).
 */
_Noreturn void supervise_end_like(int wait_status) {
    int signal_number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
    const struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t set;

    if (signal_number == 0)
        _exit(WEXITSTATUS(wait_status));
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)sigaction(signal_number, &action, NULL);
    (void)kill(getpid(), signal_number);
    signals_fill(&set);
    signals_remove(&set, signal_number);
    (void)signals_set_mask(&set, NULL);
    /* Only the first process of a pid namespace gets here: no signal ends it by default. */
    _exit(128 + signal_number);
}
