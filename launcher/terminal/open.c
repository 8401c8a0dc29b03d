#include "launcher/terminal/open.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/terminal/mode.h"
#include "launcher/terminal/monitor.h"
#include "utsbroker/base.h"

/*
 * Moves the new descriptor @fd above 2 and stores it. 0, 1 and 2 may be closed, and the command
 * must find them closed. Returns 0 or a negative errno, also that of the call that gave @fd.
 */
static int fd_store(int *fdp, int fd) {
    CLEANUP_FD int low = fd;

    if (low < 0)
        return -errno;
    if (low > 2) {
        *fdp = base_steal_fd(&low);
        return 0;
    }
    *fdp = fcntl(low, F_DUPFD_CLOEXEC, 3);
    return *fdp < 0 ? -errno : 0;
}

/* TIOCGPTPEER opens the slave without /dev/pts, and the right one if there are two devpts. */
static int pty_open(struct terminal *terminal) {
    const int flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    const int unlocked = 0;
    struct termios mode;
    int r = fd_store(&terminal->master, open("/dev/ptmx", flags | O_NONBLOCK));

    if (r < 0)
        return r;
    if (ioctl(terminal->master, TIOCSPTLCK, &unlocked) < 0)
        return -errno;
    r = fd_store(&terminal->slave, ioctl(terminal->master, TIOCGPTPEER, flags));
    if (r < 0)
        return r;
    if (!terminal_get_mode(terminal->fd, &mode))
        return -errno;
    r = terminal_set_pty_mode(terminal, &mode);
    return r < 0 ? r : terminal_resize_pty(terminal);
}

/*
 * Edge-triggered, the slave reports each change of its mode (n_tty_set_termios() of the kernel
 * wakes all that wait), and the master reports that the command has read.
 */
static int events_open(struct terminal *terminal) {
    struct epoll_event edge = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = -1};
    struct epoll_event none = {.events = 0, .data.fd = terminal->fd};
    int r = fd_store(&terminal->events, epoll_create1(EPOLL_CLOEXEC));

    if (r < 0)
        return r;
    if (epoll_ctl(terminal->events, EPOLL_CTL_ADD, terminal->slave, &edge) < 0 ||
        epoll_ctl(terminal->events, EPOLL_CTL_ADD, terminal->master, &edge) < 0 ||
        epoll_ctl(terminal->events, EPOLL_CTL_ADD, terminal->fd, &none) < 0)
        return -errno;
    return 0;
}

/* Makes the channel to the monitor. Its first word is whether the command begins in front. */
static int monitor_open(struct terminal *terminal) {
    int ends[2], r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return -errno;
    r = fd_store(&terminal->monitor, ends[0]);
    if (r < 0) {
        (void)close(ends[1]);
        return r;
    }
    r = fd_store(&terminal->monitors_end, ends[1]);
    if (r < 0)
        return r;
    terminal_update_foreground(terminal);
    terminal->was_told = !terminal->is_foreground;
    terminal_tell_monitor(terminal);
    return 0;
}

/*
 * True if @fd is the controlling terminal, by whichever path it was opened. TIOCGSID works only for
 * that one; but also for the master of a pty, and says which session has the slave.
 */
static bool is_controlling(int fd) {
    unsigned number;

    return tcgetsid(fd) >= 0 && ioctl(fd, TIOCGPTN, &number) < 0;
}

/*
 * Opens the controlling terminal, whatever 0, 1 and 2 are, and makes a pty with its mode and window
 * size. Another terminal than the controlling one is left to the command as any file is. The
 * terminal keeps its mode until terminal_mirror(). It is opened anew, for O_NONBLOCK: that flag
 * belongs to the open file description, and the shell shares that of 0, 1 and 2. All new
 * descriptors are above 2 and close-on-exec.
 *
 * Returns 0, also if there is no controlling terminal: then @terminal is TERMINAL_NULL and all
 * other functions do nothing. Returns a negative errno: -ENOSPC if there are no more ptys
 * (kernel.pty.max), -EIO for a terminal that was just hung up. terminal_close() frees @terminal.
 */
int terminal_open(struct terminal *terminal) {
    int r;

    *terminal = (struct terminal)TERMINAL_NULL;
    if (fd_store(&terminal->fd, open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) < 0) {
        terminal->fd = -1;
        return 0;
    }
    for (int fd = 0; fd < 3; fd++)
        terminal->is_standard[fd] = is_controlling(fd);
    r = pty_open(terminal);
    if (r == 0)
        r = events_open(terminal);
    if (r == 0)
        r = monitor_open(terminal);
    if (r < 0)
        terminal_close(terminal);
    return r;
}

/*
 * Gives the pty the size of the terminal's window. Call it for SIGWINCH. If the size changes, the
 * kernel sends SIGWINCH to the pty's foreground group (TIOCSWINSZ, ioctl_tty(2)). Returns 0 or a
 * negative errno.
 */
int terminal_resize_pty(struct terminal *terminal) {
    struct winsize size;

    if (terminal->fd < 0)
        return 0;
    if (ioctl(terminal->fd, TIOCGWINSZ, &size) < 0 ||
        ioctl(terminal->master, TIOCSWINSZ, &size) < 0)
        return -errno;
    return 0;
}

/* Restores the terminal's mode and closes all: the kernel then hangs the command's session up. */
void terminal_close(struct terminal *terminal) {
    terminal_restore_mode(terminal);
    base_close_fd(&terminal->events);
    base_close_fd(&terminal->monitor);
    base_close_fd(&terminal->monitors_end);
    base_close_fd(&terminal->fd);
    base_close_fd(&terminal->master);
    base_close_fd(&terminal->slave);
    *terminal = (struct terminal)TERMINAL_NULL;
}
