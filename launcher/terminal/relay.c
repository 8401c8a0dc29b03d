#include "launcher/terminal/relay.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "utsbroker/clock.h"
#include "launcher/terminal/line.h"
#include "launcher/terminal/mode.h"
#include "launcher/terminal/monitor.h"
#include "launcher/terminal/output.h"

enum {
    OTHERS_MS = 50,      /* how long others of the process group have to take a line */
    ECHO_MS = 20,        /* how long the pty has to echo a line */
    FOREGROUND_MS = 300, /* nothing reports that this process group comes to the foreground */
};

/* EINTR: this process was stopped and continues (signal(7)). */
static bool is_temporary(int error) {
    return error == EAGAIN || error == EINTR;
}

static void input_write(struct terminal *terminal) {
    ssize_t n;

    if (terminal->n_input == 0)
        return;
    n = write(terminal->master, terminal->input, terminal->n_input);
    if (n <= 0)
        return;
    terminal->n_input -= (size_t)n;
    memmove(terminal->input, terminal->input + n, terminal->n_input);
}

/* True if the command has not read all that was typed for it. */
static bool has_input(const struct terminal *terminal) {
    struct pollfd slave = {.fd = terminal->slave, .events = POLLIN};

    return terminal->n_input > 0 || poll(&slave, 1, 0) == 1;
}

/*
 * Removes the first @echo from what was read of the master after it had @n_before bytes. Returns
 * false if it is not there.
 */
static bool echo_remove(struct terminal *terminal, const struct line *line, size_t n_before) {
    char *from = terminal->output + n_before;
    char *echo = line->n_echo == 0
                     ? from
                     : memmem(from, terminal->n_output - n_before, line->echo, line->n_echo);
    size_t after;

    if (echo == NULL)
        return false;
    after = terminal->n_output - (size_t)(echo - terminal->output) - line->n_echo;
    memmove(echo, echo + line->n_echo, after);
    terminal->n_output -= line->n_echo;
    return true;
}

/*
 * Waits for the echo of @line, which was written to the master, and removes it. It is there as soon
 * as the line discipline has done its work. poll(2) of the slave has it do that, but does not wait
 * for another CPU that has begun to. A command may have stopped the echo: then it is seen, later.
 */
static void echo_take(struct terminal *terminal, const struct line *line) {
    const size_t n_before = terminal->n_output;

    (void)has_input(terminal);
    for (int tries = 0; tries < ECHO_MS; tries++) {
        struct pollfd master = {.fd = terminal->master, .events = POLLIN};

        bool is_full = terminal_read_output(terminal);

        if (echo_remove(terminal, line, n_before) || is_full)
            return;
        (void)poll(&master, 1, 1);
    }
}

/*
 * Gives the pty what the terminal has edited, if it edits, and echoed. The pty echoes it as well.
 */
static void line_relay(struct terminal *terminal, const char *typed, size_t n) {
    static struct line line;
    struct termios pty;

    terminal_relay_output(terminal);
    /* What was set before the line was typed is for it. */
    terminal_take_mode(terminal, false);
    if (!terminal_get_mode(terminal->master, &pty))
        return;
    line_cook(&line, &pty, typed, n);
    memcpy(terminal->input, line.bytes, line.n_bytes);
    terminal->n_input = line.n_bytes;
    input_write(terminal);
    echo_take(terminal, &line);
}

/* True if the terminal passes each byte on, as mode_mirror() has set it. */
static bool is_raw(const struct terminal *terminal) {
    return terminal->is_mirrored && (terminal->mirrored.c_lflag & ICANON) == 0;
}

/* Reads what the user typed, and passes it on. */
static void input_relay(struct terminal *terminal) {
    char typed[LINE_MAX_BYTES];
    ssize_t n = read(terminal->fd, typed, sizeof(typed));

    if (n < 0 && is_temporary(errno))
        return;
    /* EIO, or 0: this process is in the background, or the terminal was hung up. */
    if (n <= 0)
        terminal_update_foreground(terminal);
    if (n < 0 || terminal->is_lost || !terminal->is_foreground)
        return;
    terminal->is_known = true;
    if (!is_raw(terminal)) {
        line_relay(terminal, typed, (size_t)n);
        return;
    }
    memcpy(terminal->input + terminal->n_input, typed, (size_t)n);
    terminal->n_input += (size_t)n;
    input_write(terminal);
}

/* True if the terminal edits lines and the pty does not, or the other way round. */
static bool is_other_programs(const struct terminal *terminal) {
    struct termios current, pty;

    return !terminal_get_mode(terminal->fd, &current) ||
           !terminal_get_mode(terminal->master, &pty) ||
           ((current.c_lflag ^ pty.c_lflag) & ICANON) != 0;
}

/*
 * True if what the user types now is for the command: it waits for a line, or reads each byte. Not
 * if another program of the process group has switched the terminal's line editing off.
 */
static bool wants_input(const struct terminal *terminal) {
    if (!terminal->is_foreground || terminal->is_lost)
        return false;
    if (is_raw(terminal))
        return terminal->n_input + LINE_MAX_BYTES <= TERMINAL_INPUT_SIZE;
    return !has_input(terminal) && !is_other_programs(terminal);
}

/*
 * A line that has just come may be for another process that waits for one, too. It has a moment to
 * take it, until it is known who reads. Returns true if the command gets the line now.
 */
static bool is_for_command(struct terminal *terminal) {
    struct pollfd typed = {.fd = terminal->fd, .events = POLLIN};
    bool is_there = poll(&typed, 1, 0) == 1;

    if (is_there && terminal->is_known)
        return true;
    if (is_there && terminal->look_ms != 0)
        return clock_now_ms() >= terminal->look_ms;
    terminal->look_ms = is_there ? clock_now_ms() + OTHERS_MS : 0;
    return false;
}

/* Has @events wait for what is wanted of the terminal. */
static void events_want(struct terminal *terminal) {
    struct epoll_event event = {.events = 0, .data.fd = terminal->fd};
    uint32_t wanted = terminal->n_output > 0 ? EPOLLOUT : 0;

    if (terminal->look_ms == 0 && wants_input(terminal))
        wanted |= EPOLLIN;
    else if (wanted == 0 && terminal->is_foreground && is_other_programs(terminal))
        wanted = EPOLLIN | EPOLLOUT | EPOLLET; /* the next change of its mode, as of the slave's */
    event.events = wanted;

    if (wanted != terminal->wanted &&
        epoll_ctl(terminal->events, EPOLL_CTL_MOD, terminal->fd, &event) == 0)
        terminal->wanted = wanted;
}

/* The terminal was hung up: so is the command's session. */
static void terminal_hang_up(struct terminal *terminal) {
    (void)epoll_ctl(terminal->events, EPOLL_CTL_DEL, terminal->fd, NULL);
    (void)epoll_ctl(terminal->events, EPOLL_CTL_DEL, terminal->master, NULL);
    (void)close(terminal->master);
    terminal->master = -1;
}

/*
 * Fills *@readyp for poll(2); its descriptor is -1 if there is nothing to wait for. Returns the
 * timeout in milliseconds, or -1 for none.
 */
int terminal_prepare_poll(struct terminal *terminal, struct pollfd *readyp) {
    int64_t left;

    *readyp = (struct pollfd){.fd = -1, .events = POLLIN};
    if (terminal->fd < 0 || terminal->master < 0)
        return -1;
    terminal_mirror(terminal);
    events_want(terminal);
    readyp->fd = terminal->events;
    if (terminal->look_ms != 0) {
        left = terminal->look_ms - clock_now_ms();
        return left > 0 ? (int)left : 0;
    }
    return terminal->is_foreground ? -1 : FOREGROUND_MS;
}

/* Takes the events: an edge is reported once. Which it was matters only for a hangup. */
static void events_take(struct terminal *terminal) {
    struct epoll_event events[3];
    int n = epoll_wait(terminal->events, events, 3, 0);

    for (int i = 0; i < n; i++)
        if (events[i].data.fd == terminal->fd && (events[i].events & (EPOLLHUP | EPOLLERR)) != 0)
            terminal->is_lost = true;
}

/*
 * Moves all bytes that it can move without blocking. Call it after each poll(2), also after a
 * timeout and for other descriptors.
 */
void terminal_relay(struct terminal *terminal) {
    bool was_foreground = terminal->is_foreground;

    if (terminal->fd < 0 || terminal->master < 0)
        return;
    events_take(terminal);
    terminal_update_foreground(terminal);
    if (!terminal->is_foreground)
        terminal->is_mirrored = false;
    terminal_take_mode(terminal, !was_foreground);
    terminal_tell_monitor(terminal);
    input_write(terminal);
    terminal_relay_output(terminal);
    if (!wants_input(terminal)) {
        terminal->look_ms = 0;
    } else if (is_for_command(terminal)) {
        terminal->look_ms = 0;
        input_relay(terminal);
        terminal_relay_output(terminal);
    }
    if (terminal->is_lost)
        terminal_hang_up(terminal);
}

/*
 * Passes on a signal that the terminal has sent to this process group for a key. As on a terminal,
 * what was typed before is lost (NOFLSH, termios(3)). TIOCSIG signals the foreground group of the
 * pty.
 */
void terminal_signal(struct terminal *terminal, int signal_number) {
    struct termios pty;

    if (terminal->master < 0 || !terminal_get_mode(terminal->master, &pty))
        return;
    if ((pty.c_lflag & NOFLSH) == 0) {
        terminal->n_input = 0;
        (void)tcflush(terminal->slave, TCIFLUSH);
        /* A line that is lost is none that the command has taken. */
        terminal->is_known = terminal->is_mirrored;
    }
    (void)ioctl(terminal->master, TIOCSIG, signal_number);
}

/*
 * Relays what the command wrote before it ended. Call it after the command has ended and before
 * terminal_restore_mode().
 *
 * All of the output is there by then (terminal_read_output()). So the first read that finds nothing
 * is the end, even if other processes of the command still have the slave open. A process that
 * never stops writing gets no more through than a pty and this buffer hold. A terminal that takes
 * nothing for two seconds (Ctrl-S) loses the rest.
 */
void terminal_drain(struct terminal *terminal) {
    const int stopped_ms = 2000;
    size_t n_read = 0;

    if (terminal->fd < 0 || terminal->master < 0)
        return;
    terminal_update_foreground(terminal);
    for (bool may_be_more = true;;) {
        struct pollfd writable = {.fd = terminal->fd, .events = POLLOUT};
        size_t n_before = terminal->n_output;

        if (may_be_more) {
            may_be_more = terminal_read_output(terminal);
            n_read += terminal->n_output - n_before;
            may_be_more = may_be_more && n_read <= 2 * sizeof(terminal->output);
        }
        terminal_mirror(terminal);
        terminal_write_output(terminal);
        if (terminal->is_lost || (!may_be_more && terminal->n_output == 0))
            return;
        if (terminal->n_output > 0 && poll(&writable, 1, stopped_ms) <= 0)
            return;
    }
}
