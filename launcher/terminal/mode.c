/*
 * The modes of two terminals: the caller's and the command's pty.
 *
 * utsrun blocks all signals. For a process in the background that means: read(2) of the terminal
 * fails with EIO, so utsrun cannot take what the user types for the shell. But write(2) and
 * tcsetattr(3) succeed, as if SIGTTOU were ignored (__tty_check_change() of the kernel). So each
 * function here first asks which process group is in the foreground.
 */

#include "launcher/terminal/mode.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/*
 * Fills *@modep with the mode of the terminal @fd. Not all C libraries write each byte of it, and
 * modes are compared. Returns false if the terminal was hung up.
 */
bool terminal_get_mode(int fd, struct termios *modep) {
    memset(modep, 0, sizeof(*modep));
    return tcgetattr(fd, modep) == 0;
}

/*
 * Gives the command's pty the mode of @users, the caller's terminal, and remembers it as the given
 * mode. A pty has no serial line: its mode stays 8 bits without parity. Returns 0 or a negative
 * errno.
 */
int terminal_set_pty_mode(struct terminal *terminal, const struct termios *users) {
    struct termios mode = *users;

    mode.c_cflag = (mode.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8 | CREAD;
    /* A pty with EXTPROC neither echoes nor edits, and whoever copies its mode spreads that. */
    mode.c_lflag &= ~(tcflag_t)EXTPROC;
    if (tcsetattr(terminal->master, TCSANOW, &mode) < 0)
        return -errno;
    /* Not read back: the command may have set its own by now. */
    terminal->given = mode;
    return 0;
}

/*
 * Asks the kernel whether this process group is in the terminal's foreground. If the terminal was
 * hung up, it stays where it was: only the foreground gets a hangup.
 */
void terminal_update_foreground(struct terminal *terminal) {
    pid_t group = terminal->fd >= 0 ? tcgetpgrp(terminal->fd) : -1;

    if (terminal->fd >= 0 && group < 0 && errno == EIO)
        terminal->is_lost = true;
    else
        terminal->is_foreground = group >= 0 && group == getpgrp();
}

/* Ignores what belongs to the serial line: speed, bits, parity. */
static bool is_same_mode(const struct termios *a, const struct termios *b) {
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_lflag == b->c_lflag &&
           memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc)) == 0;
}

/*
 * Looks for a mode of the terminal that others have set. A pty whose mode the command has not
 * changed gets it, as the command would see it on the terminal; but not one without line editing,
 * which is for the keys of another program, unless this process group @has_come to the foreground:
 * what the shell has left there is for its job. A command that has set a mode gets it again then,
 * as after SIGSTOP, which leaves no time to restore.
 */
void terminal_take_mode(struct terminal *terminal, bool has_come) {
    struct termios current, pty;

    if (terminal->fd < 0 || terminal->master < 0 || terminal->is_lost || !terminal->is_foreground ||
        !terminal_get_mode(terminal->fd, &current) || !terminal_get_mode(terminal->master, &pty))
        return;
    if (terminal->is_mirrored) {
        bool is_ours = is_same_mode(&current, &terminal->mirrored);

        terminal->is_known = terminal->is_known && is_ours;
        terminal->is_mirrored = is_ours || !has_come;
        return;
    }
    if ((has_come || (current.c_lflag & ICANON) != 0) && is_same_mode(&pty, &terminal->given) &&
        !is_same_mode(&current, &terminal->given))
        (void)terminal_set_pty_mode(terminal, &current);
}

/* To be called when this process has been stopped and continues. */
void terminal_continue(struct terminal *terminal) {
    terminal_update_foreground(terminal);
    terminal_take_mode(terminal, true);
}

/* True if there is output that the pty has not processed and the terminal must not either. */
static bool has_raw_output(const struct terminal *terminal) {
    return terminal->is_mirrored && (terminal->mirrored.c_oflag & OPOST) == 0 &&
           terminal->n_output > 0;
}

/*
 * The mode that the terminal gets if the command has set @pty's. Without line editing each byte
 * goes to the pty as it comes, which maps and echoes it.
 */
static void mode_mirror(const struct terminal *terminal, const struct termios *pty,
                        struct termios *modep) {
    struct termios mode = terminal->saved;

    mode.c_iflag = pty->c_iflag;
    mode.c_oflag = pty->c_oflag;
    mode.c_lflag = pty->c_lflag;
    memcpy(mode.c_cc, pty->c_cc, sizeof(mode.c_cc));
    if ((pty->c_lflag & ICANON) == 0) {
        mode.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | ISTRIP | PARMRK);
        mode.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
        mode.c_cc[VMIN] = 1;
        mode.c_cc[VTIME] = 0;
    }
    if (has_raw_output(terminal))
        mode.c_oflag &= ~(tcflag_t)OPOST;
    *modep = mode;
}

/*
 * Remembers the mode to restore. If the terminal still has the mode that it got last, this process
 * did not come to restore it (SIGSTOP), or the shell has put it back: it is not the user's.
 */
static bool mode_save(struct terminal *terminal) {
    struct termios current;

    if (terminal->is_mirrored)
        return true;
    if (!terminal_get_mode(terminal->fd, &current))
        return false;
    if (!terminal->is_saved || !is_same_mode(&current, &terminal->mirrored))
        terminal->saved = current;
    terminal->is_saved = true;
    return true;
}

/*
 * Gives the terminal the mode of the command's pty, if the command has set one and this process
 * group is in the foreground; else the mode that it had.
 *
 * TCSANOW: TCSADRAIN would wait for the output, for ever if the user has stopped it (Ctrl-S).
 */
void terminal_mirror(struct terminal *terminal) {
    struct termios pty, mode;

    if (terminal->fd < 0 || terminal->is_lost || !terminal->is_foreground ||
        !terminal_get_mode(terminal->master, &pty))
        return;
    if (is_same_mode(&pty, &terminal->given) && !has_raw_output(terminal)) {
        terminal_restore_mode(terminal);
        return;
    }
    if (!mode_save(terminal))
        return;
    mode_mirror(terminal, &pty, &mode);
    if (terminal->is_mirrored && is_same_mode(&mode, &terminal->mirrored))
        return;
    /* Asked as late as can be: this process may have been stopped, and continued by `bg`. */
    terminal_update_foreground(terminal);
    if (!terminal->is_foreground || tcsetattr(terminal->fd, TCSANOW, &mode) < 0)
        return;
    terminal->is_mirrored = terminal->is_known = true;
    terminal->mirrored = mode;
}

/*
 * Leaves the terminal as the command has left its pty: stty(1) sets a mode to stay. For the end of
 * a command; else as terminal_restore_mode().
 */
void terminal_leave_mode(struct terminal *terminal) {
    struct termios current, pty, mode = terminal->saved;

    if (!terminal->is_mirrored || terminal->is_lost)
        return;
    terminal_update_foreground(terminal);
    if (!terminal->is_foreground || !terminal_get_mode(terminal->fd, &current) ||
        !is_same_mode(&current, &terminal->mirrored) || !terminal_get_mode(terminal->master, &pty))
        return;
    mode.c_iflag = pty.c_iflag;
    mode.c_oflag = pty.c_oflag;
    mode.c_lflag = pty.c_lflag;
    memcpy(mode.c_cc, pty.c_cc, sizeof(mode.c_cc));
    if (tcsetattr(terminal->fd, TCSANOW, &mode) == 0)
        terminal->is_mirrored = false;
}

/*
 * Restores the mode that the terminal had. Call it each time before this process stops or ends; a
 * second call does nothing. In the background it leaves the terminal alone: the shell has set its
 * own mode when it took the terminal. So it does if another program has set a mode since, a pager
 * for example. It never waits: the terminal has processed what was written, and the change does not
 * affect what is still on its way to the user.
 */
void terminal_restore_mode(struct terminal *terminal) {
    struct termios current;

    if (!terminal->is_mirrored || terminal->is_lost)
        return;
    terminal_update_foreground(terminal);
    if (terminal->is_foreground && terminal_get_mode(terminal->fd, &current) &&
        is_same_mode(&current, &terminal->mirrored))
        (void)tcsetattr(terminal->fd, TCSANOW, &terminal->saved);
    terminal->is_mirrored = false;
}

/* True if the terminal writes a carriage return before each newline, as the pty has done already.
 */
bool terminal_adds_returns(const struct terminal *terminal) {
    const struct termios *mode = terminal->is_mirrored ? &terminal->mirrored : &terminal->given;

    return (mode->c_oflag & (OPOST | ONLCR)) == (OPOST | ONLCR);
}
