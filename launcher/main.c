/*
 * utsrun: runs a command under another host name. Holds no privilege and asks a broker for what
 * needs it; all it does itself is ask, wait, and end as the command did.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/direct.h"
#include "launcher/message.h"
#include "launcher/options.h"
#include "launcher/policy-query.h"
#include "launcher/refusal.h"
#include "launcher/request.h"
#include "launcher/service-client.h"
#include "launcher/status.h"
#include "launcher/supervise.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

/* Bit N: descriptor N is closed. Asked first of all, before anything takes the free number. */
static uint32_t closed_stdio(void) {
    uint32_t closed = 0;

    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            closed |= 1U << fd;
    return closed;
}

/* For whom a setuid program runs utsrun is not clear; the broker refuses that as well. */
static bool ids_are_ambiguous(void) {
    return getuid() != geteuid() || getgid() != getegid();
}

static int send_request(const struct options *options, uint32_t closed, int channel) {
    struct protocol_request request;
    CLEANUP_FD int launch_fd = -1;
    const struct request_place place = {.closed_stdio = closed};
    int r = request_write_launch(&launch_fd, options, environ, &place);

    if (r == 0) {
        request_init(&request, options);
        r = channel_send(channel, &request, sizeof(request), &launch_fd, 1);
    }
    /* A broker that is gone is spoken of when its reply is missing. */
    if (r == 0 || r == -EPIPE || r == -ECONNRESET)
        return 0;
    message_failure("the command could not be described to the broker", -r, "try again");
    return r;
}

/*
 * Kills @pid if it is a child of this process's that nobody has reaped: so nobody else can have
 * that number. Returns 0 with *@statusp, wait(2)'s; a negative errno, -ECHILD if it is none.
 */
static int end_child(pid_t pid, int *statusp) {
    siginfo_t info;

    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
        kill(pid, SIGKILL) < 0 || waitpid(pid, statusp, 0) != pid)
        return -errno;
    return 0;
}

/*
 * A gate that was let go, although this process says that there is no command: by a broker that
 * died, or could not hear what became of it. A child of this process's that nobody would know of.
 */
static void end_stray_gate(const struct direct *direct) {
    pid_t gate = direct_find_gate(direct);
    int status;

    if (gate > 0)
        (void)end_child(gate, &status);
}

/* The broker ended and said nothing. */
static _Noreturn void broker_died(int wait_status) {
    if (WIFSIGNALED(wait_status)) {
        int signal_number = WTERMSIG(wait_status);

        if (signal_number == SIGSYS)
            message("the broker was killed by its own system call filter; this is a bug in "
                    "utsbroker " UTSBROKER_VERSION ": please report it with your architecture");
        else if (signal_number == SIGINT || signal_number == SIGTERM || signal_number == SIGHUP ||
                 signal_number == SIGQUIT)
            supervise_end_like(wait_status);
        else
            message("the broker was killed by signal %d (%s) before it answered; try again%s",
                    signal_number, strsignal(signal_number),
                    signal_number == SIGKILL ? ", with more memory if there is too little" : "");
    } else {
        message("the broker ended with status %d before it answered; is " BROKER_PATH
                " of the same version?",
                WEXITSTATUS(wait_status));
    }
    _exit(EXIT_UTSRUN_FAILED);
}

/* Returns 0 with *@replyp, -EPIPE if there is none, -EBADMSG for one that cannot be understood. */
static int receive_reply(int channel, struct protocol_reply *replyp) {
    struct protocol_reply record;
    struct channel_fds fds;
    size_t size;
    struct pollfd ready = {.fd = channel, .events = POLLIN};
    int r;

    /* A gate that was stopped may still hold a dead broker's channel: nothing to wait for. */
    if (poll(&ready, 1, 0) != 1)
        return -EPIPE;
    r = channel_receive_surely(channel, &record, sizeof(record), &size, &fds);
    if (r < 0)
        return r == -ECONNRESET ? -EPIPE : r;
    if (size == 0)
        return -EPIPE;
    r = protocol_decode_reply(&record, size, fds.n_fds, replyp);
    /* The command is this process's child: its pid cannot become another's; no pidfd is needed. */
    channel_fds_deinit(&fds);
    return r == 0 ? 0 : -EBADMSG;
}

/* Waits for the reply of the broker; does not return if there is none. */
static void await_reply(struct supervisor *supervisor, const struct direct *direct,
                        struct protocol_reply *replyp) {
    int broker_status = 0;
    int ended = supervise_wait(supervisor, direct->broker, direct->channel, &broker_status);
    int r = ended < 0 ? ended : receive_reply(direct->channel, replyp);

    if (r == -EPIPE && ended == 0)
        ended = supervise_wait(supervisor, direct->broker, -1, &broker_status);
    if (r < 0 && ended != SUPERVISE_E_ENDED) /* before it can let its gate go, if it has not */
        (void)end_child(direct->broker, &broker_status);
    if (r < 0)
        end_stray_gate(direct);
    if (r == -EPIPE && ended == SUPERVISE_E_ENDED)
        broker_died(broker_status);
    if (r == -ECHILD) { /* the kernel reaped it, as whoever started this process ignores SIGCHLD */
        message("the broker ended before it answered; try again");
        _exit(EXIT_UTSRUN_FAILED);
    }
    if (r < 0) {
        message_failure("talking to the broker failed", -r, "try again");
        _exit(EXIT_UTSRUN_FAILED);
    }
    /* Not before: the wait above is for its status, and nobody else may take that. */
    if (ended == 0)
        supervisor->broker = direct->broker;
}

/* Nobody would hear how it ends. Returns SUPERVISE_E_ENDED if it has ended by itself before. */
static int end_command(pid_t command, int *statusp) {
    int r = end_child(command, statusp);

    if (r < 0)
        return r;
    return WIFSIGNALED(*statusp) && WTERMSIG(*statusp) == SIGKILL ? 0 : SUPERVISE_E_ENDED;
}

static _Noreturn void supervise_command(struct supervisor *supervisor, pid_t command,
                                        const struct options *options) {
    int status, ended = 0;
    int r = supervise_forward(supervisor);

    if (r == 0)
        r = supervise_wait(supervisor, command, -1, &status);
    if (r < 0)
        ended = end_command(command, &status);
    if (r == SUPERVISE_E_ENDED || ended == SUPERVISE_E_ENDED) {
        status_tell_end(options, status);
        supervise_end_like(status);
    }
    if (ended == 0) {
        status_tell_end(options, status);
        message_failure("waiting for the command failed, and it was killed", -r, "try again");
    } else {
        status_tell_unknown_end(options);
        message_failure("waiting for the command failed", -r, "how it ended is not known");
    }
    _exit(EXIT_UTSRUN_FAILED);
}

static _Noreturn void run_direct(const struct options *options, uint32_t closed) {
    struct supervisor supervisor = SUPERVISOR_NULL;
    struct direct direct;
    struct protocol_reply reply = {.version = 0};
    int r = supervise_block(&supervisor);

    if (r == 0)
        r = direct_start(&direct, &supervisor.original_mask);
    if (r < 0) {
        message_failure("the broker " BROKER_PATH " could not be started", -r,
                        r == -ENOENT   ? "install utsbroker"
                        : r == -EACCES ? "ask your administrator, who lets only others start it"
                                       : "try again");
        _exit(EXIT_UTSRUN_FAILED);
    }
    r = supervise_watch(&supervisor);
    if (r < 0)
        message_failure("signals could not be watched", -r, "try again");
    if (r == 0)
        r = send_request(options, closed, direct.channel);
    if (r < 0)
        _exit(EXIT_UTSRUN_FAILED);
    await_reply(&supervisor, &direct, &reply);
    /* The broker may have let the command go before it found that it cannot say so. */
    if (reply.status == PROTOCOL_KERNEL_REFUSED)
        end_stray_gate(&direct);
    if (reply.status != PROTOCOL_GRANTED)
        _exit(refusal_print(options, &reply, &supervisor.original_mask));
    status_tell_running(options, &reply, "direct");
    if (options->is_verbose)
        message("granted by %s:%u, direct, pid %d", reply.rule_file, reply.rule_line,
                (int)reply.pid);
    supervise_command(&supervisor, reply.pid, options);
}

static _Noreturn void service_is_away(int error) {
    char what[128], cure[128];

    (void)snprintf(what, sizeof(what), "the service at " RUN_FOLDER "/%u.sock cannot be reached",
                   (unsigned)getuid());
    (void)snprintf(cure, sizeof(cure),
                   "use --via direct, or ask your administrator to: systemctl enable --now "
                   "utsbroker@%u.socket",
                   (unsigned)getuid());
    if (error == EAGAIN) /* it is there, and too busy */
        message("%s: it does not answer; try again, or use --via direct", what);
    else
        message_failure(what, error, cure);
    _exit(EXIT_UTSRUN_FAILED);
}

/*
 * Root has no use for the service by itself: it can do all directly, also what a rule gives by
 * setuid. Returns if there is no service and nobody insists on it.
 */
static void try_service(const struct options *options, uint32_t closed) {
    int channel = -1;
    int r;

    if (options->mode == MODE_DIRECT || (options->mode == MODE_AUTO && getuid() == 0))
        return;
    r = service_connect(&channel);
    if (r == 0)
        service_run(options, closed, channel);
    if (options->mode == MODE_AUTO && (r == -ENOENT || r == -ECONNREFUSED || r == -EACCES))
        return;
    service_is_away(-r);
}

/* utsrun ends with its parent, and then the command with utsrun, whoever's child it is. */
static int end_with_parent(void) {
    const pid_t parent = getppid();

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
        message("--die-with-parent: %s", strerror(errno));
        return EXIT_UTSRUN_FAILED;
    }
    return getppid() == parent ? 0 : EXIT_UTSRUN_FAILED; /* it is gone already */
}

int main(int argc, char **argv) {
    uint32_t closed = closed_stdio();
    struct options options;

    switch (options_parse(&options, argc, argv)) {
    case 0:
        break;
    case OPTIONS_E_DONE:
        return 0;
    default:
        return EXIT_UTSRUN_FAILED;
    }
    if (options.action == ACTION_LIST)
        policy_query_list();
    if (options.action == ACTION_CHECK)
        return policy_query_check(&options);
    if (ids_are_ambiguous()) {
        message("real and effective ids differ (started by a setuid program?): it is not clear who "
                "asks; start utsrun as one user");
        return EXIT_UTSRUN_FAILED;
    }
    if (options.dies_with_parent && end_with_parent() != 0)
        return EXIT_UTSRUN_FAILED;
    try_service(&options, closed);
    run_direct(&options, closed);
}
