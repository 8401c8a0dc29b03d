/*
 * The modes of two terminals: the user's and the command's pty.
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
 * Gives the command's pty the mode of @users, the user's terminal, and remembers it as the given
 * mode. A pty has no serial line: its mode stays 8 bits without parity. Returns 0 or a negative
 * errno.
 */
int terminal_set_pty_mode(struct terminal *terminal, const struct termios *users) {
    struct termios mode = *users;

    mode.c_cflag = (mode.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8 | CREAD;
    if (tcsetattr(terminal->master, TCSANOW, &mode) < 0 ||
        tcgetattr(terminal->master, &terminal->given) < 0)
        return -errno;
    return 0;
}

/* Asks the kernel whether this process group is in the terminal's foreground. */
void terminal_update_foreground(struct terminal *terminal) {
    pid_t group = tcgetpgrp(terminal->fd);

    /* ENOTTY: not the controlling terminal. It has no foreground group, every process may use it.
     */
    terminal->is_foreground = group < 0 ? errno == ENOTTY : group == getpgrp();
    if (group < 0 && errno == EIO)
        terminal->is_lost = true;
}

/* Ignores what belongs to the serial line: speed, bits, parity. */
static bool is_same_mode(const struct termios *a, const struct termios *b) {
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_lflag == b->c_lflag &&
           memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc)) == 0;
}

/* Another program of the pipeline, for example a pager, has switched line input off. */
static bool is_used_by_other(const struct terminal *terminal, const struct termios *current) {
    return terminal->is_pipeline && (current->c_lflag & ICANON) == 0 &&
           !is_same_mode(current, &terminal->given) &&
           !(terminal->is_raw && is_same_mode(current, &terminal->mode));
}

/*
 * Copies a mode that the shell has set in the meantime to the pty, as if the command shared the
 * terminal. Without it, a command that started in the background keeps the mode of the shell's line
 * editor.
 */
static void pty_copy_mode(struct terminal *terminal, const struct termios *current,
                          struct termios *pty) {
    if ((current->c_lflag & ICANON) != 0 && !is_same_mode(current, &terminal->given) &&
        is_same_mode(pty, &terminal->given) && terminal_set_pty_mode(terminal, current) == 0)
        *pty = terminal->given;
}

/*
 * Gives the terminal the relay's mode. In a pipeline the other programs write to the terminal, too,
 * and Ctrl-C is for all of them: so the terminal gets the mode of the command's pty, except that
 * each byte arrives at once and the pty echoes. A command that has the terminal alone gets raw
 * bytes; its pty processes them as a terminal does.
 */
static void terminal_set_relay_mode(struct terminal *terminal, const struct termios *pty) {
    struct termios mode = terminal->saved;

    if (terminal->is_pipeline) {
        mode.c_iflag = pty->c_iflag;
        mode.c_oflag = pty->c_oflag;
        mode.c_lflag = pty->c_lflag & ~(tcflag_t)(ICANON | ECHO);
        memcpy(mode.c_cc, pty->c_cc, sizeof(mode.c_cc));
        mode.c_cc[VMIN] = 1;
        mode.c_cc[VTIME] = 0;
    } else {
        cfmakeraw(&mode);
        mode.c_cflag = terminal->saved.c_cflag;
    }
    if (terminal->is_raw && is_same_mode(&mode, &terminal->mode))
        return;
    /* TCSANOW: the others wait for the output, for ever if the user has stopped it (Ctrl-S). */
    if (tcsetattr(terminal->fd, TCSANOW, &mode) < 0)
        return;
    terminal->is_raw = true;
    if (tcgetattr(terminal->fd, &terminal->mode) < 0)
        terminal->mode = mode;
}

/*
 * Saves the terminal's mode and sets the relay's, if this process group is in the foreground.
 *
 * In a pipeline it does so only when the command shows that it wants the terminal: the command has
 * changed the mode of its pty, or the user has typed a line that no other process took. Until then
 * the terminal, and what the user types, may be for another program.
 *
 * Call it when this process continues after a stop. terminal_prepare_poll() calls it where it
 * expects a change.
 */
void terminal_update_mode(struct terminal *terminal) {
    struct termios current = {0}, pty = {0};

    terminal->is_reading = false;
    if (terminal->fd < 0 || terminal->is_lost)
        return;
    terminal_update_foreground(terminal);
    if (!terminal->is_foreground || tcgetattr(terminal->fd, &current) < 0 ||
        tcgetattr(terminal->master, &pty) < 0 || is_used_by_other(terminal, &current))
        return;
    if (!terminal->is_raw || !is_same_mode(&current, &terminal->mode)) {
        terminal->saved = current;
        terminal->is_raw = false;
        pty_copy_mode(terminal, &current, &pty);
    }
    terminal->is_reading = !terminal->is_unreadable;
    if (terminal->is_pipeline && !terminal->is_typed && is_same_mode(&pty, &terminal->given))
        terminal_restore_mode(terminal);
    else
        terminal_set_relay_mode(terminal, &pty);
}

/*
 * Restores the mode that the terminal had. Call it each time before this process stops or ends; a
 * second call does nothing. In the background it leaves the terminal alone: the shell has set its
 * own mode when it took the terminal. It never waits: the terminal has processed what was written,
 * and the change does not affect what is still on its way to the user.
 */
void terminal_restore_mode(struct terminal *terminal) {
    struct termios current = {0};

    if (!terminal->is_raw || terminal->is_lost)
        return;
    terminal_update_foreground(terminal);
    if (terminal->is_foreground && tcgetattr(terminal->fd, &current) == 0 &&
        !is_used_by_other(terminal, &current))
        (void)tcsetattr(terminal->fd, TCSANOW, &terminal->saved);
    terminal->is_raw = false;
}
