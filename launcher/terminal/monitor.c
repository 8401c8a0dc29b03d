#include "launcher/terminal/monitor.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "utsbroker/base.h"
#include "utsbroker/channel.h"
#include "utsbroker/monitor.h"

static void word_send(struct terminal *terminal, enum monitor_word word) {
    const struct monitor_message message = {.word = (uint32_t)word,
                                            .value = terminal->is_foreground ? 1 : 0};

    terminal->was_told = terminal->is_foreground;
    if (terminal->monitor >= 0)
        (void)channel_send(terminal->monitor, &message, sizeof(message), NULL, 0);
}

/* Tells the monitor if this process group has come to the foreground, or has left it. */
void terminal_tell_monitor(struct terminal *terminal) {
    if (terminal->was_told != terminal->is_foreground)
        word_send(terminal, MONITOR_FRONT);
}

/* Has the command, which has stopped, continue. */
void terminal_continue_command(struct terminal *terminal) {
    word_send(terminal, MONITOR_CONTINUE);
}

/* Receives a message. Returns 0; -EAGAIN; -EPIPE, and the monitor is not heard any more. */
static int message_receive(struct terminal *terminal, struct monitor_message *message, int *fdp) {
    struct channel_fds fds;
    size_t size;
    int r = channel_receive(terminal->monitor, message, sizeof(*message), &size, &fds);

    if (r == -EAGAIN)
        return r;
    if (r == 0 && size == sizeof(*message) && fds.n_fds == 1) {
        *fdp = fds.fds[0];
        fds.n_fds = 0;
    }
    channel_fds_deinit(&fds);
    if (r == 0 && size == sizeof(*message))
        return 0;
    base_close_fd(&terminal->monitor);
    return -EPIPE;
}

/*
 * Receives the pid and the pidfd of the command, which has begun: the service knows only its
 * monitor, whose pidfd, in *@pidfdp, goes to *@monitor_pidfdp. Returns 0; -EPIPE if the monitor was
 * killed before.
 */
int terminal_receive_command(struct terminal *terminal, pid_t *pidp, int *pidfdp,
                             int *monitor_pidfdp) {
    const int patience_ms = 5000;
    struct pollfd said = {.fd = terminal->monitor, .events = POLLIN};
    struct monitor_message message = {.word = MONITOR_STOPPED};
    CLEANUP_FD int pidfd = -1;
    int r = poll(&said, 1, patience_ms) == 1 ? message_receive(terminal, &message, &pidfd) : -EPIPE;

    if (r < 0 || message.word != MONITOR_RUNS || pidfd < 0)
        return -EPIPE;
    *pidp = message.value;
    *monitor_pidfdp = *pidfdp;
    *pidfdp = base_steal_fd(&pidfd);
    return 0;
}

/* Returns the signal by which the command has stopped; 0: it has not. */
int terminal_receive_stop(struct terminal *terminal) {
    struct monitor_message message = {.word = MONITOR_RUNS};
    CLEANUP_FD int fd = -1;

    return message_receive(terminal, &message, &fd) == 0 && message.word == MONITOR_STOPPED
               ? message.value
               : 0;
}
