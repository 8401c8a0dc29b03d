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
 * Gives the command's pty the mode of @users, the caller's terminal, and remembers it as the given
 * mode. A pty has no serial line: its mode stays 8 bits without parity. Returns 0 or a negative
 * errno.
 */
int terminal_set_pty_mode(struct terminal *terminal, const struct termios *users) {
    struct termios mode = *users;

    mode.c_cflag = (mode.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8 | CREAD;
    /* A pty with EXTPROC neither echoes nor edits, and whoever copies its mode spreads that. */
    mode.c_lflag &= ~(tcflag_t)EXTPROC;
    if (tcsetattr(terminal->master, TCSANOW, &mode) < 0 ||
        tcgetattr(terminal->master, &terminal->given) < 0)
        return -errno;
    return 0;
}

/* Asks the kernel whether this process group is in the terminal's foreground. */
void terminal_update_foreground(struct terminal *terminal) {
    pid_t group = terminal->fd >= 0 ? tcgetpgrp(terminal->fd) : -1;

    terminal->is_foreground = group >= 0 && group == getpgrp();
    if (terminal->fd >= 0 && group < 0 && errno == EIO)
        terminal->is_lost = true;
}

/* Ignores what belongs to the serial line: speed, bits, parity. */
static bool is_same_mode(const struct termios *a, const struct termios *b) {
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_lflag == b->c_lflag &&
           memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc)) == 0;
}

/*
 * Gives a pty whose mode the command has not changed the terminal's present mode. To be called when
 * this process group has come to the foreground: the shell has set the mode for its jobs by then;
 * at the start, in the background, it may have been that of the shell's line editor.
 */
void terminal_take_mode(struct terminal *terminal) {
    struct termios current, pty;

    if (terminal->fd < 0 || terminal->is_mirrored || terminal->is_lost ||
        !terminal->is_foreground || tcgetattr(terminal->fd, &current) < 0 ||
        tcgetattr(terminal->master, &pty) < 0)
        return;
    if (is_same_mode(&pty, &terminal->given) && !is_same_mode(&current, &terminal->given))
        (void)terminal_set_pty_mode(terminal, &current);
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
        mode.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | ISTRIP);
        mode.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
        mode.c_cc[VMIN] = 1;
        mode.c_cc[VTIME] = 0;
    }
    /* What the pty has not processed is still to be written: OPOST comes on after it. */
    if (terminal->is_mirrored && (terminal->mirrored.c_oflag & OPOST) == 0 &&
        terminal->n_output > 0)
        mode.c_oflag &= ~(tcflag_t)OPOST;
    *modep = mode;
}

/*
 * Gives the terminal the mode of the command's pty, if the command has set one and this process
 * group is in the foreground; else the mode that it had. Returns true if *@ptyp, the pty's mode, is
 * one that the command has set.
 *
 * TCSANOW: TCSADRAIN would wait for the output, for ever if the user has stopped it (Ctrl-S).
 */
bool terminal_mirror(struct terminal *terminal, struct termios *ptyp) {
    struct termios mode;
    bool is_changed;

    if (terminal->fd < 0 || terminal->is_lost || tcgetattr(terminal->master, ptyp) < 0)
        return false;
    is_changed = !is_same_mode(ptyp, &terminal->given);
    terminal->is_known = terminal->is_known || is_changed;
    if (!terminal->is_foreground)
        return is_changed;
    if (!is_changed) {
        terminal_restore_mode(terminal);
        return false;
    }
    if (!terminal->is_mirrored && tcgetattr(terminal->fd, &terminal->saved) < 0)
        return true;
    mode_mirror(terminal, ptyp, &mode);
    if (terminal->is_mirrored && is_same_mode(&mode, &terminal->mirrored))
        return true;
    if (tcsetattr(terminal->fd, TCSANOW, &mode) < 0)
        return true;
    terminal->is_mirrored = true;
    terminal->mirrored = mode;
    return true;
}

/*
 * Restores the mode that the terminal had. Call it each time before this process stops or ends; a
 * second call does nothing. In the background it leaves the terminal alone: the shell has set its
 * own mode when it took the terminal. It never waits: the terminal has processed what was written,
 * and the change does not affect what is still on its way to the user.
 */
void terminal_restore_mode(struct terminal *terminal) {
    if (!terminal->is_mirrored || terminal->is_lost)
        return;
    terminal_update_foreground(terminal);
    if (terminal->is_foreground)
        (void)tcsetattr(terminal->fd, TCSANOW, &terminal->saved);
    terminal->is_mirrored = false;
}

/* True if the terminal writes a carriage return before each newline, as the pty has done already.
 */
bool terminal_adds_returns(const struct terminal *terminal) {
    const struct termios *mode = terminal->is_mirrored ? &terminal->mirrored : &terminal->given;

    return (mode->c_oflag & (OPOST | ONLCR)) == (OPOST | ONLCR);
}
