#include "launcher/service-command.h"

#include <poll.h>
#include <signal.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/message.h"
#include "launcher/pidfd.h"
#include "launcher/status.h"
#include "launcher/terminal/mode.h"
#include "launcher/terminal/open.h"
#include "launcher/terminal/relay.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

/* Ends this process after a failure of its own. The terminal has its former mode again. */
_Noreturn void service_command_fail(struct service_command *command) {
    terminal_close(&command->terminal);
    _exit(EXIT_UTSRUN_FAILED);
}

static _Noreturn void command_has_ended(struct service_command *command, int wait_status) {
    terminal_drain(&command->terminal);
    terminal_close(&command->terminal);
    status_tell_end(command->options, wait_status);
    supervise_end_like(wait_status);
}

/* The service is gone, and with it the one who knew; the kernel may know as well. */
static _Noreturn void command_has_ended_unseen(struct service_command *command) {
    int wait_status;
    int r = pidfd_wait_status(command->pidfd, &wait_status);

    if (r == 0)
        command_has_ended(command, wait_status);
    terminal_drain(&command->terminal);
    status_tell_unknown_end(command->options);
    message("the service ended before the command did, and how the command ended is not known (%s)",
            r == -ENOTTY || r == -EINVAL ? "Linux 6.15 would say" : strerror(-r));
    service_command_fail(command);
}

/*
 * The suspend key, or a signal of the same meaning. A command with a terminal leads a session,
 * whose process group is orphaned: the kernel does not stop it there, so this does it (signal(7)).
 */
static void command_suspend(struct service_command *command) {
    if (command->terminal.fd < 0 || !pidfd_stops_at_suspension(command->pid))
        return;
    command->is_suspended = true;
    (void)pidfd_signal_group(command->pidfd, SIGSTOP);
}

/* The command has stopped: so do we, until somebody lets us go on, and then it goes on, too. */
static void command_has_stopped(struct service_command *command, int signal_number) {
    if (command->is_suspended && signal_number == SIGSTOP)
        signal_number = SIGTSTP;
    command->is_suspended = false;
    terminal_restore_mode(&command->terminal);
    supervise_stop_like(signal_number);
    terminal_update_mode(&command->terminal);
}

static void signal_pass_on(struct service_command *command, const struct signalfd_siginfo *info) {
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

static void signals_pass_on(struct service_command *command) {
    struct signalfd_siginfo info;

    while (read(command->supervisor.signal_fd, &info, sizeof(info)) == sizeof(info))
        signal_pass_on(command, &info);
}

static void channel_read(struct service_command *command) {
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
void service_command_wait(struct service_command *command) {
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
