#include "launcher/direct-client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/abandon.h"
#include "launcher/direct-broker.h"
#include "launcher/hang-up.h"
#include "launcher/inherit.h"
#include "launcher/message.h"
#include "launcher/program.h"
#include "launcher/refusal.h"
#include "launcher/request.h"
#include "launcher/signals.h"
#include "launcher/status.h"
#include "launcher/supervisor.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

static int request_send(const struct options *options, uint32_t closed_stdio, int channel) {
    struct protocol_request request;
    CLEANUP_FD int launch_fd = -1;
    const struct request_place place = {.closed_stdio = closed_stdio};
    int r = request_write_launch(&launch_fd, options, environ, &place);

    if (r == 0) {
        request_init(&request, options);
        if (options->leaves_terminal) /* its whole process group gets the signal, hang-up.h */
            request.flags &= ~(uint32_t)PROTOCOL_HANGS_UP;
        r = channel_send(channel, &request, sizeof(request), &launch_fd, 1);
    }
    /* If the broker has ended, the missing reply leads to a better message. */
    if (r == 0 || r == -EPIPE || r == -ECONNRESET)
        return 0;
    message_failure("the command could not be sent to the broker", -r, "try again");
    return r;
}

/*
 * Kills and reaps @pid, if it is a child of this process that is not reaped yet: then no other
 * process has the number. Returns 0 with wait(2)'s status in *@statusp, or a negative errno:
 * -ECHILD if it is no such child.
 */
static int child_kill(pid_t pid, int *statusp) {
    siginfo_t info;

    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
        kill(pid, SIGKILL) < 0 || waitpid(pid, statusp, 0) != pid)
        return -errno;
    return 0;
}

/*
 * Kills a gate that the broker may have released, although the user is told that no command runs:
 * the broker died, or could not learn whether the gate executed the command. Otherwise the command
 * would run unnoticed.
 */
static void gate_kill(const struct direct_broker *broker) {
    pid_t gate = direct_broker_find_gate(broker);
    int status;

    if (gate > 0)
        (void)child_kill(gate, &status);
}

/* Ends utsrun after a broker that ended without a reply. */
static _Noreturn void end_without_reply(int wait_status) {
    if (WIFSIGNALED(wait_status)) {
        int signal_number = WTERMSIG(wait_status);

        if (signal_number == SIGSYS)
            message("the system call filter of the broker killed it; this is a bug in "
                    "utsbroker " UTSBROKER_VERSION ": please report it with your architecture");
        else if (signal_number == SIGINT || signal_number == SIGTERM || signal_number == SIGHUP ||
                 signal_number == SIGQUIT)
            supervisor_end_self(wait_status);
        else
            message("signal %d (%s) killed the broker before it replied; try again%s",
                    signal_number, strsignal(signal_number),
                    signal_number == SIGKILL ? ", with more memory if memory is short" : "");
    } else {
        message("the broker ended with status %d before it replied; install utsrun and " BROKER_PATH
                " from the same version",
                WEXITSTATUS(wait_status));
    }
    _exit(program.status_failed);
}

/* Returns 0 with *@replyp; -EPIPE if there is no reply; -EBADMSG if it is invalid;
 * -EPROTONOSUPPORT, with its version only, if that is not utsrun's. */
static int reply_receive(int channel, struct protocol_reply *replyp) {
    struct protocol_reply record;
    struct channel_fds fds;
    size_t size;
    struct pollfd ready = {.fd = channel, .events = POLLIN};
    int r;

    /* Do not block: a stopped gate may keep the channel of a dead broker open. */
    if (poll(&ready, 1, 0) != 1)
        return -EPIPE;
    r = channel_receive_surely(channel, &record, sizeof(record), &size, &fds);
    if (r < 0)
        return r == -ECONNRESET ? -EPIPE : r;
    if (size == 0)
        return -EPIPE;
    r = protocol_decode_reply(&record, size, fds.n_fds, replyp);
    /* No pidfd is needed: the command is a child of this process, so its pid is not reused. */
    channel_fds_deinit(&fds);
    if (r != PROTOCOL_BAD_VERSION)
        return r == 0 ? 0 : -EBADMSG;
    replyp->version = record.version;
    return -EPROTONOSUPPORT;
}

/* Waits for the broker's reply. Ends utsrun if there is none. */
static void reply_wait(struct supervisor *supervisor, const struct direct_broker *broker,
                       struct protocol_reply *replyp) {
    int broker_status = 0;
    int ended = supervisor_wait_for_child(supervisor, broker->pid, broker->channel, &broker_status);
    int r = ended < 0 ? ended : reply_receive(broker->channel, replyp);

    if (r == -EPIPE && ended == 0)
        ended = supervisor_wait_for_child(supervisor, broker->pid, -1, &broker_status);
    if (r < 0 && ended != SUPERVISOR_E_ENDED) /* before it releases its gate */
        (void)child_kill(broker->pid, &broker_status);
    if (r < 0)
        gate_kill(broker);
    if (r == -EPIPE && ended == SUPERVISOR_E_ENDED)
        end_without_reply(broker_status);
    if (r == -ECHILD) { /* the caller ignores SIGCHLD, so the kernel has reaped the broker */
        message("the broker ended before it replied; try again");
        _exit(program.status_failed);
    }
    if (r == -EPROTONOSUPPORT)
        refusal_print_version(replyp->version, false);
    else if (r < 0)
        message_failure("the reply of the broker could not be received", -r, "try again");
    if (r < 0)
        _exit(program.status_failed);
    /* Not earlier: the wait above needs the broker's status. */
    if (ended == 0)
        supervisor->broker = broker->pid;
}

/* Kills a command that utsrun cannot wait for. Returns SUPERVISOR_E_ENDED if it ended by itself. */
static int command_kill(pid_t command, int *statusp) {
    int r = child_kill(command, statusp);

    if (r < 0)
        return r;
    return WIFSIGNALED(*statusp) && WTERMSIG(*statusp) == SIGKILL ? 0 : SUPERVISOR_E_ENDED;
}

/* Waits for one event, and ends this process if somebody wants that, or if nobody needs it. */
static void ending_await(const struct supervisor *supervisor, pid_t command,
                         struct abandon *abandon) {
    struct pollfd fds[] = {{.fd = supervisor->signal_fd, .events = POLLIN},
                           abandon_prepare_poll(abandon)};
    struct signalfd_siginfo info;

    if (poll(fds, BASE_ARRAY_SIZE(fds), abandon_timeout(abandon)) < 0)
        return; /* EINTR: it was stopped, and continued */
    while (read(supervisor->signal_fd, &info, sizeof(info)) == sizeof(info))
        if (info.ssi_signo != SIGCHLD)
            hang_up_end(command, (int)info.ssi_signo);
    if (abandon_check(abandon, fds[1].revents))
        hang_up_end(command, 0);
}

/*
 * Waits for the command, which has not the terminal, and ends as it does. If this process ends
 * before the command, the command gets SIGHUP.
 */
static _Noreturn void command_await(struct supervisor *supervisor, pid_t command,
                                    struct hang_up *hang_up, pid_t parent) {
    struct abandon abandon;
    int status = 0;
    int r = supervisor_take_endings(supervisor);
    pid_t pid = 0;

    hang_up_follow_stops(hang_up->group, -1);
    abandon_begin(&abandon, parent);
    while (r == 0 && (pid = waitpid(-1, &status, WNOHANG)) != command) { /* the broker as well */
        if (pid < 0)
            r = -errno;
        else if (pid == 0)
            ending_await(supervisor, command, &abandon);
    }
    hang_up_cancel(hang_up);
    if (r == 0)
        supervisor_end_self(status);
    message_failure("waiting for the command failed", -r, "its exit status is not known");
    _exit(program.status_failed);
}

/* Waits for the command and ends as it does. */
static _Noreturn void command_supervise(struct supervisor *supervisor, pid_t command,
                                        const struct options *options) {
    int status, ended = 0;
    int r = supervisor_forward_signals(supervisor);

    if (r == 0)
        r = supervisor_wait_for_child(supervisor, command, -1, &status);
    if (r < 0)
        ended = command_kill(command, &status);
    if (r == SUPERVISOR_E_ENDED || ended == SUPERVISOR_E_ENDED) {
        status_write_end(options, status);
        supervisor_end_self(status);
    }
    if (ended == 0) {
        status_write_end(options, status);
        message_failure("waiting for the command failed, and utsrun killed it", -r, "try again");
    } else {
        status_write_unknown_end(options);
        message_failure("waiting for the command failed", -r, "its exit status is not known");
    }
    _exit(program.status_failed);
}

static _Noreturn void end_without_broker(int error) {
    message_failure("the broker " BROKER_PATH " could not be started", error,
                    error == ENOENT   ? "install utsbroker"
                    : error == EACCES ? "ask your administrator for the right to execute it"
                                      : "try again");
    _exit(program.status_failed);
}

/*
 * Starts a broker for the command of @options, waits for the command and ends as it does.
 * @closed_stdio has bit N set if descriptor N (0, 1, 2) is closed. Returns only if the request was
 * refused, with @refusalp filled; all signals are blocked then.
 */
void direct_client_run(const struct options *options, uint32_t closed_stdio,
                       struct refusal *refusalp) {
    struct supervisor supervisor = SUPERVISOR_NULL;
    struct hang_up hang_up = HANG_UP_NULL;
    struct direct_broker broker;
    struct protocol_reply reply = {.version = 0};
    int r = supervisor_block_signals(&supervisor);

    if (r == 0)
        r = direct_broker_start(&broker, &supervisor.original_mask, options->leaves_terminal);
    if (r < 0)
        end_without_broker(-r);
    if (options->leaves_terminal)
        hang_up_begin(&hang_up, broker.pid);
    r = supervisor_watch_children(&supervisor);
    if (r < 0)
        message_failure("utsrun cannot watch its signals", -r, "try again");
    if (r == 0)
        r = request_send(options, closed_stdio, broker.channel);
    if (r < 0)
        _exit(program.status_failed);
    reply_wait(&supervisor, &broker, &reply);
    /* The broker may have released the gate before it failed to learn what became of it. */
    if (reply.status == PROTOCOL_KERNEL_REFUSED)
        gate_kill(&broker);
    if (reply.status != PROTOCOL_GRANTED) {
        hang_up_cancel(&hang_up);
        base_close_fd(&broker.channel);
        base_close_fd(&supervisor.signal_fd);
        *refusalp = (struct refusal){.reply = reply, .mask = supervisor.original_mask};
        return;
    }
    status_write_running(options, &reply, "direct");
    if (options->is_verbose)
        message("granted by %s:%u, direct, pid %d", reply.rule_file, reply.rule_line,
                (int)reply.pid);
    /* What could be said afterwards is an error that waitpid(2) does not have here. */
    inherit_close(!options->is_background);
    if (options->leaves_terminal)
        command_await(&supervisor, reply.pid, &hang_up, options->parent);
    supervisor.hangs_up = options->hangs_up;
    command_supervise(&supervisor, reply.pid, options);
}
