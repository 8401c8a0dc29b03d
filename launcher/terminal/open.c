#include "launcher/terminal/open.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "launcher/terminal/mode.h"
#include "utsbroker/base.h"

/* Not /dev/ptmx: it is a terminal, too, but no user's, and to open it makes another pty. */
static bool is_users_terminal(int fd, struct stat *statusp) {
    return isatty(fd) && fstat(fd, statusp) == 0 && statusp->st_rdev != makedev(5, 2);
}

/* TIOCGSID works only on the controlling terminal, by whichever path it was opened (ioctl_tty(2)).
 */
static bool is_controlling(int fd) {
    return tcgetsid(fd) >= 0;
}

/*
 * Compares the file system, too: two devpts may use the same device number. /dev/tty has a number
 * of its own, but it is the controlling terminal.
 */
static bool is_same_terminal(int a, const struct stat *a_status, int b,
                             const struct stat *b_status) {
    if (is_controlling(a) || is_controlling(b))
        return is_controlling(a) && is_controlling(b);
    return a_status->st_rdev == b_status->st_rdev && a_status->st_dev == b_status->st_dev;
}

/* Returns the first of 0, 1 and 2 that is a terminal, or -1. Marks those that are the same one. */
static int standard_find(bool is_standard[3]) {
    struct stat statuses[3];
    int first = -1;

    for (int fd = 0; fd < 3; fd++) {
        is_standard[fd] = is_users_terminal(fd, &statuses[fd]);
        if (is_standard[fd] && first < 0)
            first = fd;
        if (is_standard[fd])
            is_standard[fd] = is_same_terminal(first, &statuses[first], fd, &statuses[fd]);
    }
    return first;
}

/* A process at the other end of a pipe may use the terminal, as less does in `utsrun | less`. */
static bool is_in_pipeline(const bool is_standard[3]) {
    struct stat status;

    for (int fd = 1; fd < 3; fd++)
        if (fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)))
            return true;
    return !is_standard[0];
}

/*
 * Moves the new descriptor @fd above 2 and stores it. 0, 1 and 2 may be closed, and the command
 * must find them closed. Returns 0 or a negative errno, also that of the open(2) that gave @fd.
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

/*
 * Opens the terminal again, for O_NONBLOCK: that flag belongs to the open file description, and the
 * shell shares that of 0, 1 and 2. If the terminal belongs to another user (su) and is not this
 * session's, open(2) is not permitted, and utsrun shares the description.
 */
static int user_open(struct terminal *terminal, int standard) {
    const int flags = O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
    static const char *const paths[] = {"/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"};
    int r;

    if (is_controlling(standard) && fd_store(&terminal->fd, open("/dev/tty", flags)) == 0)
        return 0;
    r = fd_store(&terminal->fd, open(paths[standard], flags));
    /* /dev/tty that another session opened: to open it again gives another terminal. */
    if (r == 0 && is_controlling(terminal->fd) == is_controlling(standard))
        return 0;
    base_close_fd(&terminal->fd);
    terminal->is_shared = true;
    return fd_store(&terminal->fd, fcntl(standard, F_DUPFD_CLOEXEC, 3));
}

/* TIOCGPTPEER opens the slave without /dev/pts, and the right one if there are two devpts. */
static int pty_open(struct terminal *terminal) {
    const int flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    const int unlocked = 0;
    struct termios mode = {0};
    int r = fd_store(&terminal->master, open("/dev/ptmx", flags | O_NONBLOCK));

    if (r < 0)
        return r;
    if (ioctl(terminal->master, TIOCSPTLCK, &unlocked) < 0)
        return -errno;
    r = fd_store(&terminal->slave, ioctl(terminal->master, TIOCGPTPEER, flags));
    if (r < 0)
        return r;
    if (tcgetattr(terminal->fd, &mode) < 0)
        return -errno;
    r = terminal_set_pty_mode(terminal, &mode);
    return r < 0 ? r : terminal_resize_pty(terminal);
}

/*
 * Looks for a terminal among 0, 1 and 2 and creates a pty with the same mode and window size. If 0,
 * 1 and 2 are two different terminals, the second is left out. The user's terminal keeps its mode
 * until terminal_update_mode(). All new descriptors are above 2 and close-on-exec.
 *
 * Returns 0, also if there is no terminal: then @terminal is TERMINAL_NULL and all other functions
 * do nothing. Returns a negative errno: -ENOSPC if there are no more ptys (kernel.pty.max), -EIO
 * for a terminal that was just hung up. Free @terminal with terminal_close().
 */
int terminal_open(struct terminal *terminal) {
    int standard, r;

    *terminal = (struct terminal)TERMINAL_NULL;
    standard = standard_find(terminal->is_standard);
    if (standard < 0)
        return 0;
    terminal->is_pipeline = is_in_pipeline(terminal->is_standard);
    r = user_open(terminal, standard);
    if (r == 0)
        r = pty_open(terminal);
    if (r < 0)
        terminal_close(terminal);
    return r;
}

/*
 * Closes this process's slave. Call it as soon as the command has the slave: while it is open here,
 * the master does not report that the command has closed its own.
 */
void terminal_close_slave(struct terminal *terminal) {
    base_close_fd(&terminal->slave);
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
    base_close_fd(&terminal->fd);
    base_close_fd(&terminal->master);
    base_close_fd(&terminal->slave);
    *terminal = (struct terminal)TERMINAL_NULL;
}
