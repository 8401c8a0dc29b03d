#include "launcher/service-client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "launcher/inherit.h"
#include "launcher/message.h"
#include "launcher/patience.h"
#include "launcher/program.h"
#include "launcher/proof.h"
#include "launcher/refusal.h"
#include "launcher/request.h"
#include "launcher/service-command.h"
#include "launcher/signals.h"
#include "launcher/status.h"
#include "launcher/terminal/monitor.h"
#include "launcher/terminal/open.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

/*
 * Connects to the service of this user. Returns 0 with the channel, which the caller owns, in
 * *@channelp. Returns a negative errno: -ENOENT or -ECONNREFUSED if there is no service, -EAGAIN if
 * it accepts no connection in time.
 */
int service_client_connect(int *channelp) {
    const struct timeval timeout = {.tv_sec = SERVICE_CLIENT_TIMEOUT_SECONDS};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_FD int channel = -1;
    int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%u.sock", RUN_FOLDER,
                     (unsigned)getuid());

    if (n < 0 || (size_t)n >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (channel < 0)
        return -errno;
    /* 0, 1 and 2 may be closed, and the command must find them closed. */
    if (channel <= 2) {
        int fd = fcntl(channel, F_DUPFD_CLOEXEC, 3);

        if (fd < 0)
            return -errno;
        (void)close(channel);
        channel = fd;
    }
    if (setsockopt(channel, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
        connect(channel, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    *channelp = base_steal_fd(&channel);
    return 0;
}

/* O_PATH: a process may be in a folder that it has no right to read. */
static int cwd_open(void) {
    int fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0 && fd <= 2) {
        int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        (void)close(fd);
        fd = moved;
    }
    return fd < 0 ? -errno : fd;
}

static int request_send(const struct service_command *command, int launch_fd, int cwd,
                        const struct inheritance *inheritance) {
    struct protocol_request request;
    struct channel_fds fds = {.n_fds = 0};

    request_init(&request, command->options);
    request.flags |= PROTOCOL_TO_SERVICE;
    fds.fds[fds.n_fds++] = launch_fd;
    fds.fds[fds.n_fds++] = cwd;
    if (command->terminal.slave >= 0) {
        request.flags |= PROTOCOL_HAS_TERMINAL;
        fds.fds[fds.n_fds++] = command->terminal.slave;
        fds.fds[fds.n_fds++] = command->terminal.monitors_end;
    }
    memcpy(fds.fds + fds.n_fds, inheritance->fds, inheritance->n_fds * sizeof(int));
    fds.n_fds += inheritance->n_fds;
    return channel_send(command->channel, &request, sizeof(request), fds.fds, fds.n_fds);
}

static void print_too_many(const struct inheritance *inheritance) {
    message("%zu open descriptors are more than the service can pass on (249); close some, or use "
            "%s",
            inheritance->n_fds, program.via_direct);
}

/*
 * Describes the command and sends the request. Returns 0, also if the service has ended or has
 * refused already: the reply says more. -ETOOMANYREFS: nothing was sent. Ends utsrun if the command
 * cannot be described.
 */
static int request_make(struct service_command *command, uint32_t closed_stdio) {
    struct inheritance inheritance;
    const struct request_place place = {.closed_stdio = closed_stdio, .inheritance = &inheritance};
    CLEANUP_FD int launch_fd = -1;
    CLEANUP_FD int cwd = cwd_open();
    int r = inherit_collect(&inheritance, &command->terminal, &command->supervisor.original_mask);

    if (r == INHERIT_E_TOO_MANY) {
        print_too_many(&inheritance);
        service_command_fail(command);
    }
    if (cwd < 0) {
        char fix[96];

        (void)snprintf(fix, sizeof(fix), "change to another directory, or use %s",
                       program.via_direct);
        message_failure("the working directory cannot be opened for the service", -cwd, fix);
        service_command_fail(command);
    }
    if (r == 0)
        r = request_write_launch(&launch_fd, command->options, environ, &place);
    if (r == 0)
        r = request_send(command, launch_fd, cwd, &inheritance);
    return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

/*
 * Waits until the reply can be read. Signals stay blocked until there is a command to forward them
 * to. But after five seconds without a reply the service hangs, in a user database or a network
 * file system: then signals act on utsrun.
 */
static int reply_wait(struct service_command *command) {
    struct pollfd ready = {.fd = command->channel, .events = POLLIN};
    sigset_t all;
    int r = poll(&ready, 1, 5000);

    /* An error is no problem: to receive the reply waits as well. */
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

/*
 * Returns 0 with *@replyp and the pidfd in @command; -EPIPE without a reply; -EBADMSG if it is
 * invalid; -EPROTONOSUPPORT, with its version only, if that is not utsrun's.
 */
static int reply_receive(struct service_command *command, struct protocol_reply *replyp) {
    struct protocol_reply record;
    struct channel_fds fds = {.n_fds = 0};
    size_t size = 0;
    int r = reply_wait(command);

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
    if (r != PROTOCOL_BAD_VERSION)
        return r == 0 ? 0 : -EBADMSG;
    replyp->version = record.version;
    return -EPROTONOSUPPORT;
}

/* Receives the result, for which the service may want a proof first. Returns as reply_receive(). */
static int result_receive(struct service_command *command, struct protocol_reply *replyp) {
    int r = reply_receive(command, replyp);
    CLEANUP_FD int pidfd = -1;
    pid_t witness = command->pid;

    if (r < 0 || replyp->status != PROTOCOL_PROVE)
        return r;
    pidfd = base_steal_fd(&command->pidfd);
    proof_give(witness, pidfd);
    r = reply_receive(command, replyp);
    proof_end(witness);
    return r == 0 && replyp->status == PROTOCOL_PROVE ? -EBADMSG : r;
}

/*
 * True if nothing was started, and another attempt can succeed: of this user's descriptors more are
 * on their way than RLIMIT_NOFILE permits (unix(7)), which changes as the service receives them; or
 * utsrun was too slow with its request.
 */
static bool is_temporary(int r, const struct protocol_reply *reply) {
    return r == -ETOOMANYREFS || (r == 0 && reply->status == PROTOCOL_TOO_LATE);
}

/*
 * Waits until descriptors can be sent, and connects anew: the service has little patience with a
 * client that sends nothing. There is no command yet, so signals act on utsrun.
 */
static int connection_renew(struct service_command *command, struct patience *patience) {
    sigset_t all;
    int r;

    base_close_fd(&command->channel);
    signals_fill(&all);
    r = signals_set_mask(&command->supervisor.original_mask, NULL);
    if (r < 0)
        return r;
    do
        patience_pause(patience);
    while (patience->stuck_ms > 0 && !patience_is_over(patience));
    r = service_client_connect(&command->channel);
    (void)signals_set_mask(&all, NULL);
    return r;
}

/*
 * Sends the request, as often as is needed until the service takes it, and receives the reply. Ends
 * utsrun if that fails.
 */
static void request_answer(struct service_command *command, uint32_t closed_stdio,
                           struct protocol_reply *replyp) {
    struct patience patience = {.pause_ms = 2};
    const char *what = NULL;
    int r = 0;

    for (;;) {
        what = "the command could not be sent to the service";
        if (r == 0)
            r = request_make(command, closed_stdio);
        if (r == 0) {
            what = "the reply of the service could not be received";
            r = result_receive(command, replyp);
        }
        if (!is_temporary(r, replyp) || patience_is_over(&patience))
            break;
        r = connection_renew(command, &patience);
    }
    base_close_fd(&command->terminal.monitors_end);
    if (r == -EPIPE)
        message("the service ended before it replied; try again, or use %s", program.via_direct);
    else if (r == -EPROTONOSUPPORT)
        refusal_print_version(replyp->version, true);
    else if (r < 0)
        message_failure(what, -r, "try again");
    if (r < 0)
        service_command_fail(command);
}

static void grant_tell(const struct options *options, const struct protocol_reply *reply) {
    status_write_running(options, reply, "service");
    if (options->is_verbose)
        message("granted by %s:%u, service, pid %d%s", reply->rule_file, reply->rule_line,
                (int)reply->pid,
                reply->groups_lost != 0 ? "; the command has the service's groups, not yours; to "
                                          "change that, log out of all sessions and in again"
                                        : "");
}

static void terminal_fail(struct service_command *command, int error) {
    char fix[96];

    (void)snprintf(fix, sizeof(fix), "%suse %s",
                   error == ENOSPC ? "close some terminals, raise kernel.pty.max, or " : "",
                   program.via_direct);
    message_failure("a terminal (pty) for the command could not be opened", error, fix);
    service_command_fail(command);
}

/*
 * Sends the request to the service at @channel, which it closes, and ends as the command of
 * @options does. @closed_stdio has bit N set if descriptor N (0, 1, 2) is closed. Returns only if
 * the request was refused, with @refusalp filled; all signals are blocked then.
 */
void service_client_run(const struct options *options, uint32_t closed_stdio, int channel,
                        struct refusal *refusalp) {
    struct service_command command = {.options = options,
                                      .pidfd = -1,
                                      .monitor_pidfd = -1,
                                      .channel = channel,
                                      .terminal = TERMINAL_NULL,
                                      .abandon = ABANDON_NULL,
                                      .supervisor = SUPERVISOR_NULL};
    struct protocol_reply reply = {.version = 0};
    int r = supervisor_block_signals(&command.supervisor);

    if (r == 0 && !options->leaves_terminal)
        r = terminal_open(&command.terminal);
    if (r < 0)
        terminal_fail(&command, -r);
    request_answer(&command, closed_stdio, &reply);
    if (reply.status != PROTOCOL_GRANTED) {
        terminal_close(&command.terminal);
        base_close_fd(&command.channel);
        *refusalp = (struct refusal){.reply = reply, .mask = command.supervisor.original_mask};
        return;
    }
    /* The service knows only the monitor of a command with a terminal. */
    if (command.terminal.fd >= 0 &&
        terminal_receive_command(&command.terminal, &command.pid, &command.pidfd,
                                 &command.monitor_pidfd) == 0)
        reply.pid = command.pid;
    grant_tell(options, &reply);
    inherit_close(!options->is_background);
    service_command_supervise(&command);
}
