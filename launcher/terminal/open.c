#include "launcher/terminal/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "utsbroker/base.h"

/* A pty's master is a terminal too, but nobody sits at it; and to open one is to make another. */
static bool is_users_terminal(int fd, struct stat *statusp) {
    return isatty(fd) && fstat(fd, statusp) == 0 && statusp->st_rdev != makedev(5, 2);
}

/* TIOCGSID is for a session's own terminal alone, whatever it was opened as (ioctl_tty(2)). */
static bool is_controlling(int fd) {
    return tcgetsid(fd) >= 0;
}

/* Two devpts number their terminals alike. /dev/tty has a number of its own, but is controlling. */
static bool is_same_terminal(int a, const struct stat *a_status, int b,
                             const struct stat *b_status) {
    if (is_controlling(a) || is_controlling(b))
        return is_controlling(a) && is_controlling(b);
    return a_status->st_rdev == b_status->st_rdev && a_status->st_dev == b_status->st_dev;
}

/* Returns the first of 0, 1 and 2 that is a terminal, or -1; marks all that are the same one. */
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

/* Another process may be at the terminal's other end of a pipe: in `cat | utsrun | less`, less. */
static bool is_in_pipeline(const bool is_standard[3]) {
    struct stat status;

    for (int fd = 1; fd < 3; fd++)
        if (fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)))
            return true;
    return !is_standard[0];
}

/* Takes @fd, what open(2) gave, but not as one of 0, 1 and 2, which may be closed for the command.
 */
static int fd_keep(int *fdp, int fd) {
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
 * Opens the terminal anew: O_NONBLOCK belongs to an open file description, and that of 0, 1 and 2
 * is the shell's, too. Not possible for a terminal that is another user's (su) and not this
 * session's; then it is shared.
 */
static int user_open(struct terminal *terminal, int standard) {
    const int flags = O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
    static const char *const paths[] = {"/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"};
    int r;

    if (is_controlling(standard) && fd_keep(&terminal->fd, open("/dev/tty", flags)) == 0)
        return 0;
    r = fd_keep(&terminal->fd, open(paths[standard], flags));
    /* What was opened as /dev/tty, in another session, is not the same if it is opened again. */
    if (r == 0 && is_controlling(terminal->fd) == is_controlling(standard))
        return 0;
    base_close_fd(&terminal->fd);
    terminal->is_shared = true;
    return fd_keep(&terminal->fd, fcntl(standard, F_DUPFD_CLOEXEC, 3));
}

/*
 * Gives the command's pty the mode of @users, the user's terminal. What belongs to a line is not a
 * pty's to have: it is always one of 8 bits without parity. Returns 0 or a negative errno.
 */
int terminal_give_mode(struct terminal *terminal, const struct termios *users) {
    struct termios mode = *users;

    mode.c_cflag = (mode.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8 | CREAD;
    if (tcsetattr(terminal->master, TCSANOW, &mode) < 0 ||
        tcgetattr(terminal->master, &terminal->given) < 0)
        return -errno;
    return 0;
}

/* By TIOCGPTPEER, not by a name: it needs no /dev/pts, and finds the right one if there are two. */
static int pty_open(struct terminal *terminal) {
    const int flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    const int unlocked = 0;
    struct termios mode = {0};
    int r = fd_keep(&terminal->master, open("/dev/ptmx", flags | O_NONBLOCK));

    if (r < 0)
        return r;
    if (ioctl(terminal->master, TIOCSPTLCK, &unlocked) < 0)
        return -errno;
    r = fd_keep(&terminal->slave, ioctl(terminal->master, TIOCGPTPEER, flags));
    if (r < 0)
        return r;
    if (tcgetattr(terminal->fd, &mode) < 0)
        return -errno;
    r = terminal_give_mode(terminal, &mode);
    return r < 0 ? r : terminal_resize(terminal);
}

/*
 * Looks for a terminal among 0, 1 and 2 and makes a pty that stands for it, with its mode and its
 * window's size. A second, other terminal is not dealt with. The terminal itself is left as it is
 * until terminal_update_mode(). All descriptors are above 2 and close-on-exec.
 *
 * Returns 0, also if there is no terminal: then @terminal is TERMINAL_NULL and all other functions
 * do nothing. A negative errno: -ENOSPC if there are no more ptys (kernel.pty.max), -EIO for a
 * terminal that was just hung up. terminal_deinit() gives back what @terminal holds.
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
        terminal_deinit(terminal);
    return r;
}

/*
 * Closes this process's slave. To be called as soon as the command has it: while it is open here,
 * the master does not tell that the command has closed its own.
 */
void terminal_close_slave(struct terminal *terminal) {
    base_close_fd(&terminal->slave);
}

/*
 * Gives the pty the size of the terminal's window, on SIGWINCH. The kernel sends SIGWINCH to the
 * pty's foreground group if that is a change (TIOCSWINSZ, ioctl_tty(2)). Returns 0 or a negative
 * errno.
 */
int terminal_resize(struct terminal *terminal) {
    struct winsize size;

    if (terminal->fd < 0)
        return 0;
    if (ioctl(terminal->fd, TIOCGWINSZ, &size) < 0 ||
        ioctl(terminal->master, TIOCSWINSZ, &size) < 0)
        return -errno;
    return 0;
}
