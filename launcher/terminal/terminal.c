#include "launcher/terminal/terminal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "utsbroker/base.h"

enum { POLL_USER, POLL_COMMAND };

/*
 * The terminal's mode.
 *
 * All signals are blocked here. For a process in the background that means: read(2) fails with EIO,
 * so what is typed for the shell is safe; but write(2) and tcsetattr(3) just work, as if SIGTTOU
 * were ignored (__tty_check_change() of the kernel). So whose the terminal is must be asked first.
 */

static void foreground_look(struct terminal *terminal) {
    pid_t group = tcgetpgrp(terminal->fd);

    /* ENOTTY: not the controlling terminal; nobody is in the foreground of it, all may use it. */
    terminal->is_foreground = group < 0 ? errno == ENOTTY : group == getpgrp();
    if (group < 0 && errno == EIO)
        terminal->is_lost = true;
}

/* Leaves out what belongs to the line: speed, bits, parity. */
static bool is_same_mode(const struct termios *a, const struct termios *b) {
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_lflag == b->c_lflag &&
           memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc)) == 0;
}

/* Another program of the pipeline, a pager, has set a mode that is not for lines. */
static bool is_taken(const struct terminal *terminal, const struct termios *current) {
    return terminal->is_pipeline && (current->c_lflag & ICANON) == 0 &&
           !is_same_mode(current, &terminal->given) &&
           !(terminal->is_raw && is_same_mode(current, &terminal->mode));
}

/*
 * A command that would share the terminal would find the mode that the shell has set in the
 * meantime: one that was started in the background must not keep that of the shell's line editor.
 */
static void pty_follow(struct terminal *terminal, const struct termios *current,
                       struct termios *pty) {
    if ((current->c_lflag & ICANON) != 0 && !is_same_mode(current, &terminal->given) &&
        is_same_mode(pty, &terminal->given) && terminal_give_mode(terminal, current) == 0)
        *pty = terminal->given;
}

/*
 * In a pipeline the others write to the terminal, too, and Ctrl-C is for all: so it gets the mode
 * that the command gave its pty, as if they shared it, but each byte comes at once and the echo is
 * the pty's. A command on its own has raw bytes; the pty does with them what a terminal does.
 */
static void mode_enter(struct terminal *terminal, const struct termios *pty) {
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
    /* At once: a terminal that was stopped (Ctrl-S) would be waited for for ever. */
    if (tcsetattr(terminal->fd, TCSANOW, &mode) < 0)
        return;
    terminal->is_raw = true;
    if (tcgetattr(terminal->fd, &terminal->mode) < 0)
        terminal->mode = mode;
}

/*
 * Gives the terminal the mode for the relay, if this process's group is in the foreground, and
 * saves the one before. In a pipeline only when the command shows that it wants the terminal: its
 * pty's mode was changed, or a line was typed that nobody else took. Until then the terminal, and
 * what is typed, may be another's.
 *
 * To be called when this process goes on after a stop. terminal_poll_prepare() calls it where a
 * change is to be expected.
 */
void terminal_update_mode(struct terminal *terminal) {
    struct termios current = {0}, pty = {0};

    terminal->is_reading = false;
    if (terminal->fd < 0 || terminal->is_lost)
        return;
    foreground_look(terminal);
    if (!terminal->is_foreground || tcgetattr(terminal->fd, &current) < 0 ||
        tcgetattr(terminal->master, &pty) < 0 || is_taken(terminal, &current))
        return;
    if (!terminal->is_raw || !is_same_mode(&current, &terminal->mode)) {
        terminal->saved = current;
        terminal->is_raw = false;
        pty_follow(terminal, &current, &pty);
    }
    terminal->is_reading = !terminal->is_unreadable;
    if (terminal->is_pipeline && !terminal->is_typed && is_same_mode(&pty, &terminal->given))
        terminal_restore(terminal);
    else
        mode_enter(terminal, &pty);
}

/*
 * Puts back the mode that the terminal had. To be called before this process stops or ends, on
 * every way; a second call does nothing. Not in the background: there the mode is the shell's,
 * which has set its own when it took the terminal. Never waits: what was written is processed
 * already, and what is still on its way to the user does not change.
 */
void terminal_restore(struct terminal *terminal) {
    struct termios current = {0};

    if (!terminal->is_raw || terminal->is_lost)
        return;
    foreground_look(terminal);
    if (terminal->is_foreground && tcgetattr(terminal->fd, &current) == 0 &&
        !is_taken(terminal, &current))
        (void)tcsetattr(terminal->fd, TCSANOW, &terminal->saved);
    terminal->is_raw = false;
}

/*
 * The relay.
 */

static void bytes_take(char *bytes, size_t *np, size_t n) {
    memmove(bytes, bytes + n, *np - n);
    *np -= n;
}

/* EINTR: this process was stopped and goes on (signal(7)). */
static bool is_try_again(int error) {
    return error == EAGAIN || error == EINTR;
}

/* What was written before the slave was closed comes before the EIO. */
static void output_read(struct terminal *terminal) {
    size_t room = sizeof(terminal->output) - terminal->n_output;
    ssize_t n;

    if (room == 0)
        return;
    n = read(terminal->master, terminal->output + terminal->n_output, room);
    if (n > 0)
        terminal->n_output += (size_t)n;
    else if (n == 0 || !is_try_again(errno))
        terminal->is_idle = true;
}

static bool is_writable(int fd) {
    struct pollfd writable = {.fd = fd, .events = POLLOUT};

    return poll(&writable, 1, 0) == 1;
}

/* One that may block gets what a terminal that is ready has room for, also with tabs expanded. */
static void output_write(struct terminal *terminal) {
    const size_t small = 32;

    while (terminal->n_output > 0 && !terminal->is_lost) {
        size_t n = terminal->n_output;
        ssize_t n_written;

        if (terminal->is_shared && !is_writable(terminal->fd))
            return;
        if (terminal->is_shared && n > small)
            n = small;
        n_written = write(terminal->fd, terminal->output, n);
        if (n_written > 0)
            bytes_take(terminal->output, &terminal->n_output, (size_t)n_written);
        else if (n_written == 0 || is_try_again(errno))
            return;
        else
            terminal->is_lost = true;
    }
    if (terminal->is_lost)
        terminal->n_output = 0;
}

/*
 * The command's group is an orphan in its session, so the kernel does not stop it by the terminal's
 * SIGTSTP (POSIX). A shell that the command is puts its jobs into groups of their own.
 */
static bool is_suspend_key(const struct terminal *terminal, const char *bytes, size_t n,
                           pid_t command) {
    struct termios pty = {0};

    if (tcgetattr(terminal->master, &pty) < 0 || (pty.c_lflag & ISIG) == 0 ||
        pty.c_cc[VSUSP] == _POSIX_VDISABLE)
        return false;
    return memchr(bytes, pty.c_cc[VSUSP], n) != NULL && tcgetpgrp(terminal->master) == command;
}

/* At the end of a line nothing was typed but the key for that: the command's terminal gets its own.
 */
static void input_end(struct terminal *terminal) {
    struct termios pty = {0};

    if (tcgetattr(terminal->master, &pty) == 0 && pty.c_cc[VEOF] != _POSIX_VDISABLE)
        terminal->input[terminal->n_input++] = (char)pty.c_cc[VEOF];
}

/* Returns true for the suspend key. */
static bool input_read(struct terminal *terminal, pid_t command) {
    char *bytes = terminal->input + terminal->n_input;
    size_t room = sizeof(terminal->input) - terminal->n_input;
    ssize_t n = room > 0 ? read(terminal->fd, bytes, room) : 0;
    int error = n < 0 ? errno : 0;

    if (room == 0 || (n < 0 && is_try_again(error)))
        return false;
    /* EIO is said to a process in the background, and of a terminal that was hung up; so is 0. */
    if (n <= 0)
        foreground_look(terminal);
    if (n < 0 && error != EIO)
        terminal->is_unreadable = true;
    if (n < 0 || terminal->is_lost)
        return false;
    terminal->is_typed = terminal->is_typed || !terminal->is_raw;
    terminal->n_input += (size_t)n;
    if (n == 0)
        input_end(terminal);
    return is_suspend_key(terminal, bytes, (size_t)n, command);
}

/* What is typed while no process has the slave open is kept by the kernel, as on any terminal. */
static void input_write(struct terminal *terminal) {
    ssize_t n;

    if (terminal->n_input == 0)
        return;
    n = write(terminal->master, terminal->input, terminal->n_input);
    if (n > 0)
        bytes_take(terminal->input, &terminal->n_input, (size_t)n);
    else if (n < 0 && !is_try_again(errno))
        terminal->is_idle = true;
}

static void poll_want(struct pollfd *ready, int fd, bool is_in, bool is_out) {
    short events = (short)((is_in ? POLLIN : 0) | (is_out ? POLLOUT : 0));

    /* A hangup is told even if nothing is asked, again and again. */
    *ready = (struct pollfd){.fd = events != 0 ? fd : -1, .events = events};
}

/*
 * Brings the mode up to date, if need be, and says in @fds what to poll(2) for, with a descriptor
 * of -1 where that is nothing. Returns for how many milliseconds at the most, -1 for ever: in the
 * background a job that is running is not told when it comes to the foreground; a pipeline's others
 * and the command do not tell when they set a mode; a pty that no process has open may be opened
 * again by /dev/tty.
 */
int terminal_poll_prepare(struct terminal *terminal, struct pollfd fds[TERMINAL_POLL_FDS]) {
    const int change_ms = 300, idle_ms = 100;
    bool is_room;

    if (!terminal->is_raw || !terminal->is_foreground || terminal->is_pipeline)
        terminal_update_mode(terminal);
    is_room = terminal->n_input < sizeof(terminal->input);
    poll_want(&fds[POLL_USER], terminal->is_lost ? -1 : terminal->fd,
              terminal->is_reading && is_room, terminal->n_output != 0);
    is_room = terminal->n_output < sizeof(terminal->output);
    poll_want(&fds[POLL_COMMAND], terminal->is_idle ? -1 : terminal->master, is_room,
              terminal->n_input != 0);
    if (terminal->fd >= 0 && terminal->is_idle)
        return idle_ms;
    if (terminal->fd >= 0 && !terminal->is_lost &&
        (!terminal->is_foreground || terminal->is_pipeline))
        return change_ms;
    return -1;
}

/*
 * Moves what can be moved, after the poll(2) that @fds and the timeout of terminal_poll_prepare()
 * were for, also if that ended by the timeout or for another descriptor. Never blocks.
 *
 * Returns true if the user typed the key that suspends, the terminal makes a signal of it, and
 * @command's group, which its leader gives its name, is in the foreground of the pty: the kernel
 * will not stop it, the caller must.
 */
bool terminal_relay(struct terminal *terminal, const struct pollfd fds[TERMINAL_POLL_FDS],
                    pid_t command) {
    const short lost = POLLHUP | POLLERR | POLLNVAL;
    bool was_idle = terminal->is_idle, is_suspend = false;

    if (terminal->fd < 0)
        return false;
    terminal->is_idle = false;
    if ((fds[POLL_USER].revents & lost) != 0)
        terminal->is_lost = true;
    if (was_idle || fds[POLL_COMMAND].revents != 0)
        output_read(terminal);
    /* The mode that the command set before it wrote this is for this, too. */
    if (terminal->is_pipeline)
        terminal_update_mode(terminal);
    output_write(terminal);
    if (terminal->is_reading && !terminal->is_lost && (fds[POLL_USER].revents & POLLIN) != 0)
        is_suspend = input_read(terminal, command);
    /* Written later: the caller looks at the command as it is before it has the key. */
    if (!is_suspend)
        input_write(terminal);
    return is_suspend;
}

/*
 * Relays what the command wrote before it ended, which is all there once it has ended: a read(2) of
 * the master waits for what is on its way in the kernel, so the first that finds nothing ends this,
 * even if processes of the command's have the slave open still. One that never stops writing gets
 * no more than a pty and this buffer can hold. A terminal that takes nothing for two seconds
 * (Ctrl-S) does not get the rest. To be called before terminal_restore().
 */
void terminal_drain(struct terminal *terminal) {
    const int stopped_ms = 2000;
    size_t n_read = 0;

    if (terminal->fd < 0)
        return;
    terminal_close_slave(terminal);
    terminal_update_mode(terminal);
    for (bool is_empty = false;;) {
        size_t n_before = terminal->n_output;
        struct pollfd writable = {.fd = terminal->fd, .events = POLLOUT};

        if (!is_empty && n_before < sizeof(terminal->output)) {
            output_read(terminal);
            n_read += terminal->n_output - n_before;
            is_empty = terminal->n_output == n_before || n_read > 2 * sizeof(terminal->output);
        }
        output_write(terminal);
        if (terminal->is_lost || (is_empty && terminal->n_output == 0))
            return;
        if (terminal->n_output > 0 && poll(&writable, 1, stopped_ms) <= 0)
            return;
    }
}

/* Puts the terminal's mode back and closes everything: the command's session is hung up by that. */
void terminal_deinit(struct terminal *terminal) {
    terminal_restore(terminal);
    base_close_fd(&terminal->fd);
    base_close_fd(&terminal->master);
    base_close_fd(&terminal->slave);
    *terminal = (struct terminal)TERMINAL_NULL;
}
