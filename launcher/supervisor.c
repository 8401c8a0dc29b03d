#include "launcher/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/jobs.h"
#include "launcher/program.h"
#include "launcher/signals.h"
#include "utsbroker/base.h"

/*
 * Blocks every signal and keeps the caller's mask in @supervisor: signals wait until there is a
 * command to forward them to. Returns 0 or a negative errno.
 */
int supervisor_block_signals(struct supervisor *supervisor) {
    sigset_t set;

    /* SIGSEGV and its like as well: a real fault ignores the mask, a sent one is forwarded. */
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
 * Starts to receive SIGCHLD; other signals still wait. Call it after the first child has started:
 * if the caller ignored SIGCHLD, the command must inherit that, but this process needs the signal.
 * Returns 0 or a negative errno.
 */
int supervisor_watch_children(struct supervisor *supervisor) {
    const struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t set;

    if (sigaction(SIGCHLD, &action, NULL) < 0)
        return -errno;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    return signal_fd_set(supervisor, &set);
}

/*
 * Has supervisor_wait_for_child() forward all signals, also those that have waited. Call it when
 * the command runs. Returns 0 or a negative errno.
 */
int supervisor_forward_signals(struct supervisor *supervisor) {
    sigset_t set;

    supervisor->is_forwarding = true;
    signals_fill(&set);
    return signal_fd_set(supervisor, &set);
}

/*
 * Has signals act on this process as on any other, but for those by which somebody ends it, unless
 * they are ignored: with SIGCHLD they are read from signal_fd. Returns 0 or a negative errno.
 */
int supervisor_take_endings(struct supervisor *supervisor) {
    static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    sigset_t set, mask = supervisor->original_mask;
    struct sigaction action;
    int r;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&mask, SIGCHLD);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(numbers); i++) {
        if (sigaction(numbers[i], NULL, &action) < 0 || action.sa_handler == SIG_IGN)
            continue;
        (void)sigaddset(&set, numbers[i]);
        (void)sigaddset(&mask, numbers[i]);
    }
    r = signal_fd_set(supervisor, &set);
    return r < 0 ? r : signals_set_mask(&mask, NULL);
}

/*
 * True if a signal that this process received must be forwarded to the child.
 *
 * The terminal sends its signals (SI_KERNEL, sigaction(2)) to the whole foreground process group: a
 * child in this group gets them without utsrun. A child that has left the group would get them if
 * utsrun were not there, so they are forwarded. Two signals of the kernel reach this process alone:
 * a hangup, if it leads the session (tty_signal_session_leader() of the kernel), and its own
 * timer's. A signal that the child or this process sent to the group is not sent back.
 */
bool supervisor_is_for_child(const struct signalfd_siginfo *info,
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
 * True if the signal is to end this process, by somebody who means it: utsrsh ends then, and its
 * command gets SIGHUP, as with ssh(1). What the terminal sends is for the command.
 */
bool supervisor_is_hang_up(const struct signalfd_siginfo *info) {
    return info->ssi_code != SI_KERNEL &&
           (info->ssi_signo == SIGTERM || info->ssi_signo == SIGHUP || info->ssi_signo == SIGINT ||
            info->ssi_signo == SIGQUIT);
}

/*
 * Stops this process by the signal that stopped the command, so that the shell sees the same; or,
 * with @is_for_group, the whole process group, as a command does that stops its own. Returns when
 * this process continues; at once if the signal does not stop it (an orphaned process group,
 * signal(7)).
 */
void supervisor_stop_self(int signal_number, bool is_for_group) {
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
    (void)kill(is_for_group ? 0 : getpid(), signal_number);
    /* The signal stops this process here, until SIGCONT. */
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)sigaction(signal_number, &before, NULL);
}

/*
 * True if the child is in another process group. The shell makes utsrun, not the command, the
 * leader of the job's group: a command that makes itself a leader, as timeout(1) does, leaves the
 * group.
 */
static bool has_left_group(pid_t child) {
    pid_t group = getpgid(child);

    return group > 0 && group != getpgrp();
}

/* Forwards all signals that have arrived. Only this process reaps the child: its pid is its own. */
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
        /*
         * A terminal signals a whole group, so a group that the child leads gets the signal, too.
         * EPERM: the command has become another user's (a setuid program). A shell fails as well.
         */
        if (supervisor->hangs_up && supervisor_is_hang_up(&info)) {
            jobs_hang_up(child);
            (void)kill(child, SIGHUP);
            _exit(program.status_failed);
        }
        if (supervisor_is_for_child(&info, &parties))
            (void)kill(info.ssi_code == SI_KERNEL && getpgid(child) == child ? -child : child,
                       (int)info.ssi_signo);
    }
}

/* Returns SUPERVISOR_E_ENDED, or 0 if the child lives. If the child stops, stops this process. */
static int child_check(pid_t child, int *statusp) {
    for (;;) {
        int status;
        pid_t pid = waitpid(child, &status, WNOHANG | WUNTRACED);

        if (pid < 0)
            return -errno;
        if (pid == 0)
            return 0;
        if (!WIFSTOPPED(status)) {
            *statusp = status;
            return SUPERVISOR_E_ENDED;
        }
        supervisor_stop_self(WSTOPSIG(status), false);
    }
}

static void broker_reap(struct supervisor *supervisor) {
    if (supervisor->broker != 0 && waitpid(supervisor->broker, NULL, WNOHANG) != 0)
        supervisor->broker = 0;
}

/*
 * Waits until @child has ended or @readable_fd (-1: none) can be read or is closed. Stops when the
 * child stops.
 *
 * Forwards signals after supervisor_forward_signals(). Before it they wait: they would end a broker
 * that may have released the command. But after five seconds without a reply the broker hangs, in a
 * user database or a network file system, and gets them.
 *
 * Returns 0 if the descriptor is ready; SUPERVISOR_E_ENDED if the child has ended and is reaped,
 * with its wait status in *@statusp; a negative errno.
 */
int supervisor_wait_for_child(struct supervisor *supervisor, pid_t child, int readable_fd,
                              int *statusp) {
    const int timeout_ms = 5000;

    for (;;) {
        struct pollfd fds[] = {{.fd = supervisor->signal_fd, .events = POLLIN},
                               {.fd = readable_fd, .events = POLLIN}};
        int r = child_check(child, statusp);
        int n_ready;

        if (r != 0)
            return r;
        broker_reap(supervisor);
        n_ready = poll(fds, BASE_ARRAY_SIZE(fds), supervisor->is_forwarding ? -1 : timeout_ms);
        if (n_ready < 0 && errno != EINTR)
            return -errno;
        if (n_ready > 0 && fds[1].revents != 0)
            return 0;
        if (n_ready == 0)
            r = supervisor_forward_signals(supervisor);
        else if (n_ready > 0)
            r = signals_forward(supervisor, child);
        if (r < 0)
            return r;
    }
}

/*
 * Ends this process as the child ended: with the same exit code, or killed by the same signal
 * (utsrsh ends with the status of a failure then, as ssh(1) does). This process dumps no core of
 * its own. It uses PR_SET_DUMPABLE, as a limit of 0 does not stop a core that is piped to a program
 * (core(5)).
 */
_Noreturn void supervisor_end_self(int wait_status) {
    int signal_number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
    const struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t set;

    if (signal_number == 0)
        _exit(WEXITSTATUS(wait_status));
    if (!program.ends_by_signal)
        _exit(program.status_failed);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)sigaction(signal_number, &action, NULL);
    (void)kill(getpid(), signal_number);
    signals_fill(&set);
    signals_remove(&set, signal_number);
    (void)signals_set_mask(&set, NULL);
    /* Only the first process of a pid namespace gets here: signals do not end it by default. */
    _exit(128 + signal_number);
}
