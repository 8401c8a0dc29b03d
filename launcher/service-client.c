#include "launcher/service-client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/inherit.h"
#include "launcher/message.h"
#include "launcher/pidfd.h"
#include "launcher/refusal.h"
#include "launcher/request.h"
#include "launcher/signals.h"
#include "launcher/status.h"
#include "launcher/supervise.h"
#include "launcher/terminal/mode.h"
#include "launcher/terminal/open.h"
#include "launcher/terminal/relay.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

/* A command of the service's, and what is known of it. */
struct command {
    const struct options *options;
    pid_t pid;
    int pidfd;
    int channel;       /* to the service; -1: it has ended */
    bool is_suspended; /* by us, as the kernel would have done with the suspend key */
    struct terminal terminal;
    struct supervisor supervisor;
};

/*
 * Connects to the service of this user. Returns 0 with *@channelp the caller's; a negative errno:
 * -ENOENT, -ECONNREFUSED if there is none, -EAGAIN if it does not take the connection for ten
 * seconds.
 */
int service_connect(int *channelp) {
    const struct timeval patience = {.tv_sec = 10};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_FD int channel = -1;
    int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%u.sock", RUN_FOLDER,
                     (unsigned)getuid());

    if (n < 0 || (size_t)n >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (channel < 0)
        return -errno;
    /* 0, 1 and 2 may be closed, and are the command's as closed ones. */
    if (channel <= 2) {
        int fd = fcntl(channel, F_DUPFD_CLOEXEC, 3);

        if (fd < 0)
            return -errno;
        (void)close(channel);
        channel = fd;
    }
    if (setsockopt(channel, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(channel, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    *channelp = base_steal_fd(&channel);
    return 0;
}

/* Every way out leads through here: the terminal is the user's again. */
static _Noreturn void service_fail(struct command *command) {
    terminal_close(&command->terminal);
    _exit(EXIT_UTSRUN_FAILED);
}

/* O_PATH: to be in a folder one needs no right to read it. */
static int cwd_open(void) {
    int fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0 && fd <= 2) {
        int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        (void)close(fd);
        fd = moved;
    }
    return fd < 0 ? -errno : fd;
}

static int request_send(const struct command *command, const struct options *options, int launch_fd,
                        int cwd, const struct inheritance *inheritance) {
    struct protocol_request request;
    struct channel_fds fds = {.n_fds = 0};

    request_init(&request, options);
    request.flags |= PROTOCOL_TO_SERVICE;
    fds.fds[fds.n_fds++] = launch_fd;
    fds.fds[fds.n_fds++] = cwd;
    if (command->terminal.slave >= 0) {
        request.flags |= PROTOCOL_HAS_TERMINAL;
        fds.fds[fds.n_fds++] = command->terminal.slave;
    }
    memcpy(fds.fds + fds.n_fds, inheritance->fds, inheritance->n_fds * sizeof(int));
    fds.n_fds += inheritance->n_fds;
    return channel_send(command->channel, &request, sizeof(request), fds.fds, fds.n_fds);
}

static void message_too_many(const struct inheritance *inheritance) {
    message("%zu open descriptors are more than the service can be given (250); close some, or use "
            "--via direct",
            inheritance->n_fds);
}

static void request_ask(struct command *command, const struct options *options, uint32_t closed) {
    struct inheritance inheritance;
    const struct request_place place = {.closed_stdio = closed, .inheritance = &inheritance};
    CLEANUP_FD int launch_fd = -1;
    CLEANUP_FD int cwd = cwd_open();
    int r = inherit_collect(&inheritance, &command->terminal, &command->supervisor.original_mask);

    if (r == INHERIT_E_TOO_MANY) {
        message_too_many(&inheritance);
        service_fail(command);
    }
    if (cwd < 0) {
        message_failure("the working directory cannot be given to the service", -cwd,
                        "go elsewhere, or use --via direct");
        service_fail(command);
    }
    if (r == 0)
        r = request_write_launch(&launch_fd, options, environ, &place);
    if (r == 0)
        r = request_send(command, options, launch_fd, cwd, &inheritance);
    /* A service that is gone is spoken of when its reply is missing. */
    if (r < 0 && r != -EPIPE && r != -ECONNRESET) {
        message_failure("the command could not be described to the service", -r, "try again");
        service_fail(command);
    }
    terminal_close_slave(&command->terminal);
}

/*
 * Signals wait until there is a command to give them to. But a service that has said nothing for
 * five seconds hangs, in a user database or a network file system, and then they act.
 */
static int reply_await(struct command *command) {
    struct pollfd ready = {.fd = command->channel, .events = POLLIN};
    sigset_t all;
    int r = poll(&ready, 1, 5000);

    /* Without it the reply is waited for all the same. */
    if (r != 0)
        return 0;
    signals_fill(&all);
    r = signals_set_mask(&command->supervisor.original_mask, NULL);
    if (r < 0)
        return r;
    do {
        r = poll(&ready, 1, -1);
    } while (r < 0 && errno == EINTR);
    return signals_set_mask(&all, NULL);
}

/* Returns 0 with *@replyp, and the pidfd in @command; -EPIPE if there is none; -EBADMSG. */
static int reply_receive(struct command *command, struct protocol_reply *replyp) {
    struct protocol_reply record;
    struct channel_fds fds;
    size_t size;
    int r = reply_await(command);

    if (r == 0)
        r = channel_receive_surely(command->channel, &record, sizeof(record), &size, &fds);
    if (r < 0)
        return r == -ECONNRESET ? -EPIPE : r;
    if (size == 0)
        return -EPIPE;
    r = protocol_decode_reply(&record, size, fds.n_fds, replyp);
    if (r == 0 && fds.n_fds == 1)
        command->pidfd = fds.fds[0];
    else
        channel_fds_deinit(&fds);
    command->pid = replyp->pid;
    return r == 0 ? 0 : -EBADMSG;
}

/* Returns only if the request was granted. */
static void reply_take(struct command *command, const struct options *options) {
    struct protocol_reply reply = {.version = 0};
    int r = reply_receive(command, &reply);

    if (r == -EPIPE)
        message("the service ended before it answered; try again, or use --via direct");
    else if (r < 0)
        message_failure("talking to the service failed", -r, "try again");
    if (r < 0)
        service_fail(command);
    if (reply.status != PROTOCOL_GRANTED) {
        terminal_close(&command->terminal);
        _exit(refusal_print(options, &reply, &command->supervisor.original_mask));
    }
    status_tell_running(options, &reply, "service");
    if (options->is_verbose)
        message("granted by %s:%u, service, pid %d%s", reply.rule_file, reply.rule_line,
                (int)reply.pid,
                reply.groups_differ != 0
                    ? "; its groups are the service's, not yours: log in again to have both alike"
                    : "");
}

static _Noreturn void command_has_ended(struct command *command, int wait_status) {
    terminal_drain(&command->terminal);
    terminal_close(&command->terminal);
    status_tell_end(command->options, wait_status);
    supervise_end_like(wait_status);
}

/* The service is gone, and with it the one who knew; the kernel may know as well. */
static _Noreturn void command_has_ended_unseen(struct command *command) {
    int wait_status;
    int r = pidfd_wait_status(command->pidfd, &wait_status);

    if (r == 0)
        command_has_ended(command, wait_status);
    terminal_drain(&command->terminal);
    status_tell_unknown_end(command->options);
    message("the service ended before the command did, and how the command ended is not known (%s)",
            r == -ENOTTY || r == -EINVAL ? "Linux 6.15 would say" : strerror(-r));
    service_fail(command);
}

/*
 * The suspend key, or a signal of the same meaning. A command with a terminal leads a session,
 * whose process group is orphaned: the kernel does not stop it there, so this does it (signal(7)).
 */
static void command_suspend(struct command *command) {
    if (command->terminal.fd < 0 || !pidfd_stops_at_suspension(command->pid))
        return;
    command->is_suspended = true;
    (void)pidfd_signal_group(command->pidfd, SIGSTOP);
}

/* The command has stopped: so do we, until somebody lets us go on, and then it goes on, too. */
static void command_has_stopped(struct command *command, int signal_number) {
    if (command->is_suspended && signal_number == SIGSTOP)
        signal_number = SIGTSTP;
    command->is_suspended = false;
    terminal_restore_mode(&command->terminal);
    supervise_stop_like(signal_number);
    terminal_update_mode(&command->terminal);
}

static void signal_pass_on(struct command *command, const struct signalfd_siginfo *info) {
    const struct signal_parties parties = {.self = getpid(),
                                           .child = command->pid,
                                           .is_session_leader = getsid(0) == getpid(),
                                           .has_child_left_group = true};
    int number = (int)info->ssi_signo;

    /* The pty tells the command of its size; what the terminal sent us is for our own group. */
    if (number == SIGWINCH && info->ssi_code == SI_KERNEL && command->terminal.fd >= 0) {
        (void)terminal_resize_pty(&command->terminal);
        return;
    }
    if (!supervise_is_forwarded(info, &parties))
        return;
    if (info->ssi_code == SI_KERNEL || number == SIGCONT)
        (void)pidfd_signal_group(command->pidfd, number);
    else
        (void)pidfd_signal(command->pidfd, number);
    if (number == SIGTSTP)
        command_suspend(command);
    if (number == SIGCONT)
        terminal_update_mode(&command->terminal);
}

static void signals_pass_on(struct command *command) {
    struct signalfd_siginfo info;

    while (read(command->supervisor.signal_fd, &info, sizeof(info)) == sizeof(info))
        signal_pass_on(command, &info);
}

static void channel_read(struct command *command) {
    struct protocol_notice record, notice = {.version = 0};
    struct pollfd more = {.fd = command->channel, .events = POLLIN};
    struct channel_fds fds;
    size_t size;
    int r = channel_receive(command->channel, &record, sizeof(record), &size, &fds);

    if (r == 0 && size > 0)
        r = protocol_decode_notice(&record, size, fds.n_fds, &notice);
    channel_fds_deinit(&fds);
    if (r != 0 || size == 0) {
        base_close_fd(&command->channel);
        return;
    }
    /* What has come behind it is newer: one stop of ours is enough for many. */
    if (WIFSTOPPED(notice.wait_status) && poll(&more, 1, 0) == 1)
        return;
    if (WIFSTOPPED(notice.wait_status))
        command_has_stopped(command, WSTOPSIG(notice.wait_status));
    else
        command_has_ended(command, notice.wait_status);
}

/* The command lives as long as this is called again. */
static void command_wait(struct command *command) {
    struct pollfd fds[2 + TERMINAL_POLL_FDS] = {
        {.fd = command->supervisor.signal_fd, .events = POLLIN},
        {.fd = command->channel >= 0 ? command->channel : command->pidfd, .events = POLLIN}};
    int timeout = terminal_prepare_poll(&command->terminal, fds + 2);
    int n = poll(fds, BASE_ARRAY_SIZE(fds), timeout);

    if (n < 0)
        return; /* EINTR: with all signals blocked, only when stopped and continued */
    if (n == 0)
        terminal_update_mode(&command->terminal);
    if (terminal_relay(&command->terminal, fds + 2, command->pid))
        command_suspend(command);
    if (fds[0].revents != 0)
        signals_pass_on(command);
    if (fds[1].revents == 0)
        return;
    if (command->channel >= 0)
        channel_read(command);
    else
        command_has_ended_unseen(command);
}

/*
 * Has the service at @channel run the command of @options, and ends as the command does.
 * @closed_stdio has bit N set if descriptor N (0, 1, 2) is closed.
 */
_Noreturn void service_run(const struct options *options, uint32_t closed_stdio, int channel) {
    struct command command = {.options = options,
                              .pidfd = -1,
                              .channel = channel,
                              .terminal = TERMINAL_NULL,
                              .supervisor = SUPERVISOR_NULL};
    int r = supervise_block(&command.supervisor);

    if (r == 0)
        r = terminal_open(&command.terminal);
    if (r < 0) {
        message_failure("a terminal for the command could not be made", -r,
                        r == -ENOSPC ? "close some, raise kernel.pty.max, or use --via direct"
                                     : "use --via direct");
        service_fail(&command);
    }
    request_ask(&command, options, closed_stdio);
    reply_take(&command, options);
    r = supervise_forward(&command.supervisor);
    if (r < 0) {
        status_tell_unknown_end(options);
        message_failure(pidfd_signal(command.pidfd, SIGKILL) == 0
                            ? "signals could not be watched, and the command was killed"
                            : "signals could not be watched",
                        -r, "try again");
        service_fail(&command);
    }
    terminal_update_mode(&command.terminal);
    for (;;)
        command_wait(&command);
}
