#include "launcher/terminal/leave.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "launcher/terminal/output.h"
#include "utsbroker/base.h"
#include "utsbroker/compat.h"

/*
 * Gives the terminal back the lines that the command has not read, for whoever reads next. Where
 * the kernel does not permit that (dev.tty.legacy_tiocsti), they are lost. They were echoed once.
 */
void terminal_give_back(const struct terminal *terminal) {
    struct pollfd slave = {.fd = terminal->slave, .events = POLLIN};
    struct termios mode, silent;
    CLEANUP_FD int reader = -1; /* not the slave itself: the command has that, and it blocks */
    char bytes[4096];
    ssize_t n = 0;

    if (terminal->fd < 0 || terminal->master < 0 || !terminal->is_foreground ||
        poll(&slave, 1, 0) != 1 || (slave.revents & POLLIN) == 0 ||
        tcgetattr(terminal->fd, &mode) < 0)
        return;
    reader = ioctl(terminal->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    silent = mode;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    if (reader < 0 || tcsetattr(terminal->fd, TCSANOW, &silent) < 0)
        return;
    n = read(reader, bytes, sizeof(bytes));
    for (ssize_t at = 0; at < n; at++)
        if (ioctl(terminal->fd, TIOCSTI, &bytes[at]) < 0)
            break;
    (void)tcsetattr(terminal->fd, TCSANOW, &mode);
}

/* True if a process that the command has left behind has the pty open. */
static bool is_anybody_left(struct terminal *terminal) {
    struct pollfd master = {.fd = terminal->master, .events = POLLIN};

    base_close_fd(&terminal->events);
    base_close_fd(&terminal->slave);
    return terminal->fd >= 0 && terminal->master >= 0 && !terminal->is_lost &&
           poll(&master, 1, 0) >= 0 && (master.revents & POLLHUP) == 0;
}

/* Holds nothing but the two terminals: others wait until a pipe of theirs is closed. */
static int descriptors_keep(const struct terminal *terminal) {
    int low = terminal->fd < terminal->master ? terminal->fd : terminal->master;
    int high = terminal->fd < terminal->master ? terminal->master : terminal->fd;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        return -errno;
    for (int fd = 0; fd < 3; fd++)
        if (dup2(null, fd) < 0)
            return -errno;
    compat_close_range(3, low - 1);
    compat_close_range(low + 1, high - 1);
    compat_close_range(high + 1, INT_MAX);
    return 0;
}

/*
 * Relays in the background what processes write that the command has left behind, until none has
 * the pty open: on a terminal, too, they go on writing. Call it last. Returns in the process that
 * is to end; all signals are blocked, so the other one ends with the terminal or with the pty.
 */
void terminal_leave(struct terminal *terminal) {
    bool is_closed = false; /* the pty: then poll(2) would not wait for the terminal (Ctrl-S) */

    if (!is_anybody_left(terminal) || fork() != 0)
        return;
    if (descriptors_keep(terminal) < 0)
        _exit(1);
    for (;;) {
        struct pollfd fds[] = {
            {.fd = !is_closed && terminal->n_output < sizeof(terminal->output) ? terminal->master
                                                                               : -1,
             .events = POLLIN},
            {.fd = terminal->fd, .events = terminal->n_output > 0 ? POLLOUT : 0}};

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            _exit(1);
        if (!terminal_read_output(terminal))
            is_closed = is_closed || (fds[0].revents & POLLHUP) != 0;
        terminal_write_output(terminal);
        if (terminal->is_lost || (fds[1].revents & (POLLHUP | POLLERR)) != 0 ||
            (is_closed && terminal->n_output == 0))
            _exit(0);
    }
}
