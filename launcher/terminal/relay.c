#include "launcher/terminal/relay.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "launcher/terminal/mode.h"
#include "launcher/terminal/open.h"

enum { POLL_USER, POLL_COMMAND };

/* Removes the first @n of the *@np @bytes. */
static void bytes_remove(char *bytes, size_t *np, size_t n) {
    memmove(bytes, bytes + n, *np - n);
    *np -= n;
}

/* EINTR: this process was stopped and continues (signal(7)). */
static bool is_temporary(int error) {
    return error == EAGAIN || error == EINTR;
}

/* EIO: no process has the slave open. All that they wrote before is read by then. */
static void output_read(struct terminal *terminal) {
    size_t room = sizeof(terminal->output) - terminal->n_output;
    ssize_t n;

    if (room == 0)
        return;
    n = read(terminal->master, terminal->output + terminal->n_output, room);
    if (n > 0)
        terminal->n_output += (size_t)n;
    else if (n == 0 || !is_temporary(errno))
        terminal->is_idle = true;
}

static bool is_writable(int fd) {
    struct pollfd writable = {.fd = fd, .events = POLLOUT};

    return poll(&writable, 1, 0) == 1;
}

/*
 * Writes to the user's terminal without blocking. If @fd may block, it writes in pieces that fit
 * into what a terminal that polls as writable has room for, also with tabs expanded.
 */
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
            bytes_remove(terminal->output, &terminal->n_output, (size_t)n_written);
        else if (n_written == 0 || is_temporary(errno))
            return;
        else
            terminal->is_lost = true;
    }
    if (terminal->is_lost)
        terminal->n_output = 0;
}

/*
 * True if the pty makes SIGTSTP of one of the @bytes and @command's process group gets it. The
 * group is orphaned in its session, so the kernel does not stop it (POSIX). If the command is a
 * shell, its jobs have groups of their own, and the kernel stops those.
 */
static bool is_suspend_key(const struct terminal *terminal, const char *bytes, size_t n,
                           pid_t command) {
    struct termios pty = {0};

    if (tcgetattr(terminal->master, &pty) < 0 || (pty.c_lflag & ISIG) == 0 ||
        pty.c_cc[VSUSP] == _POSIX_VDISABLE)
        return false;
    return memchr(bytes, pty.c_cc[VSUSP], n) != NULL && tcgetpgrp(terminal->master) == command;
}

/* A read of 0 bytes means that the user typed the end-of-file key: pass the pty's own key on. */
static void input_add_end(struct terminal *terminal) {
    struct termios pty = {0};

    if (tcgetattr(terminal->master, &pty) == 0 && pty.c_cc[VEOF] != _POSIX_VDISABLE)
        terminal->input[terminal->n_input++] = (char)pty.c_cc[VEOF];
}

/* Reads what the user typed. Returns true if that has the suspend key. */
static bool input_read(struct terminal *terminal, pid_t command) {
    char *bytes = terminal->input + terminal->n_input;
    size_t room = sizeof(terminal->input) - terminal->n_input;
    ssize_t n = room > 0 ? read(terminal->fd, bytes, room) : 0;
    int error = n < 0 ? errno : 0;

    if (room == 0 || (n < 0 && is_temporary(error)))
        return false;
    /* EIO, or 0: this process is in the background, or the terminal was hung up. */
    if (n <= 0)
        terminal_update_foreground(terminal);
    if (n < 0 && error != EIO)
        terminal->is_unreadable = true;
    if (n < 0 || terminal->is_lost)
        return false;
    terminal->is_typed = terminal->is_typed || !terminal->is_raw;
    terminal->n_input += (size_t)n;
    if (n == 0)
        input_add_end(terminal);
    return is_suspend_key(terminal, bytes, (size_t)n, command);
}

/* If no process has the slave open, the kernel keeps the bytes, as it does on any terminal. */
static void input_write(struct terminal *terminal) {
    ssize_t n;

    if (terminal->n_input == 0)
        return;
    n = write(terminal->master, terminal->input, terminal->n_input);
    if (n > 0)
        bytes_remove(terminal->input, &terminal->n_input, (size_t)n);
    else if (n < 0 && !is_temporary(errno))
        terminal->is_idle = true;
}

static void poll_set(struct pollfd *ready, int fd, bool is_in, bool is_out) {
    short events = (short)((is_in ? POLLIN : 0) | (is_out ? POLLOUT : 0));

    /* poll(2) reports a hangup even without events, again and again: leave the descriptor out. */
    *ready = (struct pollfd){.fd = events != 0 ? fd : -1, .events = events};
}

/*
 * Updates the mode if necessary, and fills @fds for poll(2); a descriptor is -1 if there is nothing
 * to wait for. Returns the timeout in milliseconds, or -1 for none. Nothing reports these changes,
 * so it asks for them after a while: a job in the background comes to the foreground; the command
 * or another program of the pipeline sets a mode; a process opens a pty again (/dev/tty) that no
 * process had open.
 */
int terminal_prepare_poll(struct terminal *terminal, struct pollfd fds[TERMINAL_POLL_FDS]) {
    const int change_ms = 300, idle_ms = 100;
    bool is_room;

    if (!terminal->is_raw || !terminal->is_foreground || terminal->is_pipeline)
        terminal_update_mode(terminal);
    is_room = terminal->n_input < sizeof(terminal->input);
    poll_set(&fds[POLL_USER], terminal->is_lost ? -1 : terminal->fd,
             terminal->is_reading && is_room, terminal->n_output != 0);
    is_room = terminal->n_output < sizeof(terminal->output);
    poll_set(&fds[POLL_COMMAND], terminal->is_idle ? -1 : terminal->master, is_room,
             terminal->n_input != 0);
    if (terminal->fd >= 0 && terminal->is_idle)
        return idle_ms;
    if (terminal->fd >= 0 && !terminal->is_lost &&
        (!terminal->is_foreground || terminal->is_pipeline))
        return change_ms;
    return -1;
}

/*
 * Moves all bytes that it can move without blocking. Call it after each poll(2) with the @fds and
 * the timeout of terminal_prepare_poll(), also after a timeout and for other descriptors.
 *
 * Returns true if the user typed the suspend key, the pty makes a signal of it, and the process
 * group that @command leads is in the pty's foreground: the kernel does not stop that group, so the
 * caller must.
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
    /* The command may have set a mode for what it wrote: set it before the output. */
    if (terminal->is_pipeline)
        terminal_update_mode(terminal);
    output_write(terminal);
    if (terminal->is_reading && !terminal->is_lost && (fds[POLL_USER].revents & POLLIN) != 0)
        is_suspend = input_read(terminal, command);
    /* Not yet with the suspend key: the caller looks at the command before it has the key. */
    if (!is_suspend)
        input_write(terminal);
    return is_suspend;
}

/*
 * Relays what the command wrote before it ended. Call it after the command has ended and before
 * terminal_restore_mode().
 *
 * All of the output is there by then: a read(2) of the master waits for bytes that are on their way
 * in the kernel. So the first read that finds nothing is the end, even if other processes of the
 * command still have the slave open. A process that never stops writing gets no more through than a
 * pty and this buffer hold. A terminal that takes nothing for two seconds (Ctrl-S) loses the rest.
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
