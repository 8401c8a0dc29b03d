#include "launcher/service-command.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "utsbroker/clock.h"
#include "launcher/abandon.h"
#include "launcher/hang-up.h"
#include "launcher/jobs.h"
#include "launcher/message.h"
#include "launcher/program.h"
#include "launcher/pidfd.h"
#include "launcher/signals.h"
#include "launcher/status.h"
#include "launcher/terminal/leave.h"
#include "launcher/terminal/mode.h"
#include "launcher/terminal/monitor.h"
#include "launcher/terminal/open.h"
#include "launcher/terminal/relay.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"
#include "utsbroker/protocol.h"

/* Ends utsrun after a failure. The user gets the terminal back as it was. */
_Noreturn void service_command_fail(struct service_command *command) {
    terminal_close(&command->terminal);
    _exit(program.status_failed);
}

/* Ends utsrun as the command ended. */
static _Noreturn void command_end(struct service_command *command, int wait_status) {
    terminal_drain(&command->terminal);
    terminal_leave_mode(&command->terminal);
    terminal_restore_mode(&command->terminal);
    terminal_give_back(&command->terminal);
    terminal_leave(&command->terminal);
    terminal_close(&command->terminal);
    status_write_end(command->options, wait_status);
    supervisor_end_self(wait_status);
}

/*
 * Ends utsrun after the command of a service that has ended: its parent cannot tell the exit
 * status. A new kernel can.
 */
static _Noreturn void command_end_without_service(struct service_command *command) {
    int wait_status;
    int r = pidfd_wait_status(command->pidfd, &wait_status);

    if (r == 0)
        command_end(command, wait_status);
    terminal_drain(&command->terminal);
    status_write_unknown_end(command->options);
    message("the service ended before the command did, so the exit status is not known (%s)",
            r == -ENOTTY || r == -EINVAL ? "only Linux 6.15 or newer knows it" : strerror(-r));
    service_command_fail(command);
}

/*
 * The command has stopped: stops this process, until SIGCONT. The terminal's SIGTSTP has reached
 * the whole process group; another signal but SIGSTOP the command has sent to its own group, which
 * would be this one. Then the command continues in any case: if this process did not stop, its
 * group is orphaned, and the kernel would not have stopped the command either.
 */
static void command_follow_stop(struct service_command *command, int signal_number) {
    const int64_t recent_ms = 1000;
    struct terminal *terminal = &command->terminal;
    bool is_terminals =
        command->suspended_ms != 0 && clock_now_ms() - command->suspended_ms < recent_ms;
    bool wants_terminal = signal_number == SIGTTIN || signal_number == SIGTTOU;

    terminal_update_foreground(terminal);
    /* A command that was stopped in the background just before utsrun came to the foreground. */
    if (!wants_terminal || !terminal->is_foreground) {
        terminal_restore_mode(terminal);
        supervisor_stop_self(signal_number, terminal->fd >= 0 && !is_terminals && !wants_terminal);
        terminal_continue(terminal);
    }
    terminal_continue_command(terminal);
}

/* A signal of the terminal to this process group. Returns true if the command has it by its pty. */
static bool signal_relay(struct service_command *command, int number) {
    if (command->terminal.master < 0)
        return false;
    switch (number) {
    case SIGWINCH:
        (void)terminal_resize_pty(&command->terminal);
        return true;
    case SIGINT:
    case SIGQUIT:
        terminal_signal(&command->terminal, number);
        return true;
    case SIGTSTP:
        command->suspended_ms = clock_now_ms();
        terminal_signal(&command->terminal, number);
        return true;
    default:
        return false;
    }
}

/* The command, or 0 if it has ended: its number may be another process's by then. */
static pid_t command_find(const struct service_command *command) {
    return pidfd_signal(command->pidfd, 0) == 0 ? command->pid : 0;
}

/* Ends utsrsh, as somebody wants. The service sees that, and the command's pty hangs up with it. */
static _Noreturn void command_hang_up(struct service_command *command, int signal_number) {
    if (command->options->leaves_terminal)
        hang_up_end(command_find(command), signal_number);
    jobs_hang_up(command_find(command));
    service_command_fail(command);
}

static void signal_forward(struct service_command *command, const struct signalfd_siginfo *info) {
    const struct signal_parties parties = {.self = getpid(),
                                           .child = command->pid,
                                           .is_session_leader = getsid(0) == getpid(),
                                           .has_child_left_group = true};
    int number = (int)info->ssi_signo;

    if (command->options->leaves_terminal
            ? number != SIGCHLD
            : command->options->hangs_up && supervisor_is_hang_up(info))
        command_hang_up(command, number);
    if (info->ssi_code == SI_KERNEL && signal_relay(command, number))
        return;
    if (number == SIGCONT) {
        terminal_continue(&command->terminal);
        terminal_tell_monitor(&command->terminal);
    }
    if (!supervisor_is_for_child(info, &parties))
        return;
    if (info->ssi_code == SI_KERNEL || number == SIGCONT)
        (void)pidfd_signal_group(command->pidfd, number);
    else
        (void)pidfd_signal(command->pidfd, number);
}

static void signals_forward(struct service_command *command) {
    struct signalfd_siginfo info;

    while (read(command->supervisor.signal_fd, &info, sizeof(info)) == sizeof(info))
        signal_forward(command, &info);
}

static void notice_receive(struct service_command *command) {
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
    /* A newer notice is waiting: one stop of this process is enough for several. */
    if (WIFSTOPPED(notice.wait_status) && poll(&more, 1, 0) == 1)
        return;
    if (!WIFSTOPPED(notice.wait_status))
        command_end(command, notice.wait_status);
    if (!command->options->leaves_terminal)
        supervisor_stop_self(WSTOPSIG(notice.wait_status), false);
    /* It was the monitor that somebody stopped: SIGCONT goes to the command only. */
    if (command->monitor_pidfd >= 0)
        (void)pidfd_signal(command->monitor_pidfd, SIGCONT);
}

/* The monitor has said that the command has stopped, or has ended. */
static void command_check_stop(struct service_command *command) {
    int signal_number = terminal_receive_stop(&command->terminal);

    if (signal_number != 0)
        command_follow_stop(command, signal_number);
}

/* Waits for one event and handles it. Returns while the command lives. */
static void event_handle(struct service_command *command) {
    struct pollfd fds[5] = {
        {.fd = command->supervisor.signal_fd, .events = POLLIN},
        {.fd = command->channel >= 0 ? command->channel : command->pidfd, .events = POLLIN},
        {.fd = command->terminal.monitor, .events = POLLIN},
        [4] = abandon_prepare_poll(&command->abandon)};
    int timeout = terminal_prepare_poll(&command->terminal, &fds[3]);

    if (command->options->leaves_terminal)
        timeout = abandon_timeout(&command->abandon);
    if (poll(fds, BASE_ARRAY_SIZE(fds), timeout) < 0)
        return; /* EINTR: all signals are blocked, so this process was stopped and continued */
    /* First: what the terminal holds was typed after the key for the signal. */
    if (fds[0].revents != 0)
        signals_forward(command);
    if (abandon_check(&command->abandon, fds[4].revents))
        command_hang_up(command, 0);
    terminal_relay(&command->terminal);
    if (fds[2].revents != 0)
        command_check_stop(command);
    if (fds[1].revents == 0)
        return;
    if (command->channel >= 0)
        notice_receive(command);
    else
        command_end_without_service(command);
}

/* The command has not the terminal: a signal ends or stops this process as any other. */
static int signals_take(struct service_command *command) {
    hang_up_follow_stops(command->pid, command->pidfd);
    abandon_begin(&command->abandon, command->options->parent);
    return supervisor_take_endings(&command->supervisor);
}

/* Supervises the command, which runs, and ends as it does. */
_Noreturn void service_command_supervise(struct service_command *command) {
    int r = command->options->leaves_terminal ? signals_take(command)
                                              : supervisor_forward_signals(&command->supervisor);

    if (r < 0) {
        status_write_unknown_end(command->options);
        message_failure(pidfd_signal(command->pidfd, SIGKILL) == 0
                            ? "utsrun cannot watch its signals, and killed the command"
                            : "utsrun cannot watch its signals",
                        -r, "try again");
        service_command_fail(command);
    }
    for (;;)
        event_handle(command);
}
