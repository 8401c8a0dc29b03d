/*
 * Runs in the service's gate, as the user and without any capability, after the gate has taken the
 * caller's context and with that a new session. The gate forks: the child becomes the command, in a
 * process group of its own, and the gate is its monitor. Like the gate it is not dumpable.
 */

#include "broker/session/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "utsbroker/base.h"
#include "utsbroker/channel.h"
#include "utsbroker/compat.h"
#include "utsbroker/monitor.h"

enum { SLAVE = 0, CHANNEL = 1, SIGNALS = 2 }; /* the monitor's descriptors; it has no others */

struct monitor {
    pid_t command;
    pid_t front;      /* the process group that has the pty's foreground when utsrun has its own */
    bool is_in_front; /* utsrun is in its terminal's foreground */
    bool is_hung_up;  /* the kernel has said so, and the command does not know */
    int channel;      /* CHANNEL; -1: utsrun has ended */
};

static void monitor_say(const struct monitor *monitor, enum monitor_word word, int32_t value,
                        int fd) {
    const struct monitor_message message = {.word = (uint32_t)word, .value = value};

    if (monitor->channel >= 0)
        (void)channel_send(monitor->channel, &message, sizeof(message), &fd, fd >= 0 ? 1 : 0);
}

/* A shell among the commands gives its jobs the foreground: they have it again afterwards. */
static void monitor_note_front(struct monitor *monitor) {
    pid_t front = tcgetpgrp(SLAVE);

    if (front > 0 && front != getpgrp())
        monitor->front = front;
}

/*
 * Ends as the command has ended. Before, it takes the foreground: the kernel sends SIGHUP to the
 * foreground group of a session whose leader ends.
 */
static _Noreturn void monitor_end(int wait_status) {
    int signal_number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
    const struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t set;

    (void)tcsetpgrp(SLAVE, getpgrp());
    if (signal_number == 0)
        _exit(WEXITSTATUS(wait_status));
    (void)sigaction(signal_number, &action, NULL);
    (void)kill(getpid(), signal_number);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, signal_number);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    _exit(128 + signal_number);
}

static void monitor_look(struct monitor *monitor) {
    int status;

    while (waitpid(monitor->command, &status, WNOHANG | WUNTRACED) == monitor->command) {
        if (!WIFSTOPPED(status))
            monitor_end(status);
        monitor_note_front(monitor);
        /* It needs the foreground: without it it would stop again, and again. */
        if (WSTOPSIG(status) == SIGTTIN || WSTOPSIG(status) == SIGTTOU)
            monitor->front = getpgid(monitor->command);
        monitor_say(monitor, MONITOR_STOPPED, WSTOPSIG(status), -1);
    }
}

/*
 * The kernel's SIGHUP means that the pty is gone: with the user's terminal, which a command in the
 * background survives; or with utsrun, which somebody has killed in the place of the command.
 */
static void monitor_pass_hangup(struct monitor *monitor) {
    if (!monitor->is_hung_up || (!monitor->is_in_front && monitor->channel >= 0))
        return;
    monitor->is_hung_up = false;
    (void)kill(-monitor->command, SIGHUP);
}

/* Who else than the kernel signals the monitor means the command. */
static void monitor_hear_signals(struct monitor *monitor) {
    struct signalfd_siginfo info;

    while (read(SIGNALS, &info, sizeof(info)) == sizeof(info)) {
        int number = (int)info.ssi_signo;

        if (number == SIGCHLD)
            monitor_look(monitor);
        else if (info.ssi_code != SI_KERNEL)
            (void)kill(monitor->command, number);
        else if (number == SIGHUP)
            monitor->is_hung_up = true;
        else
            (void)kill(-monitor->command, number);
    }
}

static void monitor_hear_utsrun(struct monitor *monitor) {
    struct monitor_message message;
    struct channel_fds fds;
    size_t size;
    int r = channel_receive(monitor->channel, &message, sizeof(message), &size, &fds);

    channel_fds_deinit(&fds);
    if (r < 0 || size != sizeof(message)) {
        monitor->channel = -1;
        return;
    }
    if (message.value == 0)
        monitor_note_front(monitor);
    monitor->is_in_front = message.value != 0;
    (void)tcsetpgrp(SLAVE, monitor->is_in_front ? monitor->front : getpgrp());
    if (message.word == MONITOR_CONTINUE)
        (void)kill(-monitor->command, SIGCONT);
}

/*
 * Leaves only what the monitor needs: others wait until a pipe or a lock of theirs is closed. Takes
 * no new number: the caller's limit (RLIMIT_NOFILE) may leave none.
 */
static int descriptors_keep(int slave, int channel) {
    if (dup2(slave, SLAVE) < 0 || dup2(channel, CHANNEL) < 0)
        return -errno;
    compat_close_range(SIGNALS, INT_MAX);
    return 0;
}

/* All signals are blocked. */
static _Noreturn void monitor_run(pid_t command, bool is_in_front, int slave, int channel) {
    struct monitor monitor = {
        .command = command, .front = command, .is_in_front = is_in_front, .channel = CHANNEL};
    sigset_t all;
    int pidfd;

    (void)prctl(PR_SET_NAME, MONITOR_NAME, 0, 0, 0);
    (void)sigfillset(&all);
    if (descriptors_keep(slave, channel) < 0 ||
        signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK) != SIGNALS)
        _exit(1); /* the command ends, too */
    pidfd = (int)syscall(SYS_pidfd_open, command, 0);
    monitor_say(&monitor, MONITOR_RUNS, command, pidfd);
    base_close_fd(&pidfd);
    for (;;) {
        struct pollfd fds[] = {{.fd = SIGNALS, .events = POLLIN},
                               {.fd = monitor.channel, .events = POLLIN}};

        if (poll(fds, BASE_ARRAY_SIZE(fds), -1) < 0)
            continue;
        if (fds[0].revents != 0)
            monitor_hear_signals(&monitor);
        if (fds[1].revents != 0)
            monitor_hear_utsrun(&monitor);
        monitor_pass_hangup(&monitor);
    }
}

/* True unless utsrun says that it is in the background: its first word comes before the request. */
static bool is_front_wanted(int channel) {
    struct monitor_message message;

    return recv(channel, &message, sizeof(message), MSG_DONTWAIT) != sizeof(message) ||
           message.word != MONITOR_FRONT || message.value != 0;
}

/* In the command: all signals are blocked, so that SIGTTOU does not stop it. It ends with its
 * monitor, since nobody else would hear of its end. */
static int command_begin(int slave, bool is_in_front, pid_t monitor) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || setpgid(0, 0) < 0)
        return -errno;
    if (getppid() != monitor)
        return -ESRCH;
    return is_in_front && tcsetpgrp(slave, getpid()) < 0 ? -errno : 0;
}

/*
 * Forks. @slave is the controlling terminal of this session, which this process leads; @channel is
 * the monitor's end (utsbroker/monitor.h). Both are above 2. Returns in the child, which is to
 * become the command, with the signal mask and the actions of before: 0, or a negative errno, as
 * where no process can be made. Does not return in the monitor.
 */
int monitor_start(int slave, int channel) {
    const struct sigaction default_action = {.sa_handler = SIG_DFL};
    struct sigaction before;
    bool is_in_front = is_front_wanted(channel);
    pid_t self = getpid(), command;
    sigset_t all, mask;
    int r;

    (void)sigfillset(&all);
    /* A caller may ignore SIGCHLD: then the kernel would not tell how the command ends. */
    if (sigprocmask(SIG_SETMASK, &all, &mask) < 0 ||
        sigaction(SIGCHLD, &default_action, &before) < 0)
        return -errno;
    command = fork();
    if (command > 0)
        monitor_run(command, is_in_front, slave, channel);
    r = command < 0 ? -errno : command_begin(slave, is_in_front, self);
    if (sigaction(SIGCHLD, &before, NULL) < 0 || sigprocmask(SIG_SETMASK, &mask, NULL) < 0)
        return -errno;
    return r;
}
