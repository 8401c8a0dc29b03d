#pragma once

/*
 * The caller's terminal, for a command that runs in another session, as the service's commands do.
 *
 * The command gets a pty as its controlling terminal, and the pty's slave for each of 0, 1 and 2
 * that is the caller's terminal. utsrun holds the master and relays bytes, modes, signals and
 * window sizes; a monitor leads the command's session (utsbroker/monitor.h). The terminal itself
 * goes on editing lines, echoing them and sending signals, to all of the caller's process group;
 * its mode changes when the command changes the mode of its pty.
 *
 * open.h opens and closes both terminals, mode.h keeps their modes in step, output.h moves what the
 * command writes, line.h writes a line as the pty must get it, relay.h moves all else.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

enum {
    TERMINAL_INPUT_SIZE = 8192 + 1, /* a line of 4,096 bytes, each after VLNEXT, and VEOF */
    TERMINAL_OUTPUT_SIZE = 16384,
};

struct terminal {
    int fd;              /* the caller's controlling terminal; -1: it has none, nothing to do */
    int master;          /* of the command's pty */
    int slave;           /* for the command; open here as well: it tells when the mode changes */
    int events;          /* the epoll(7) of the three */
    int monitor;         /* to the command's monitor */
    int monitors_end;    /* for the monitor; -1: it was sent */
    bool is_standard[3]; /* descriptor N is the terminal: the command gets the slave */

    /* For the files of this folder only. */
    bool is_foreground; /* this process group may read the terminal and set its mode */
    bool was_told;      /* the monitor: the command has the pty's foreground */
    bool is_mirrored;   /* the terminal has the pty's mode; @saved must be restored */
    bool is_saved;      /* @saved and @mirrored have been set */
    bool is_known;      /* the command has taken a line or set a mode: what is typed is for it */
    bool is_lost;       /* the terminal was hung up */
    uint32_t wanted;    /* what @events waits for on @fd */
    int64_t look_ms;    /* CLOCK_MONOTONIC: nobody else has taken the line until then; 0: no line */
    struct termios saved;
    struct termios mirrored; /* the terminal's mode while is_mirrored */
    struct termios given;    /* the pty's mode before the command changed it */
    size_t n_input, n_output;
    char input[TERMINAL_INPUT_SIZE];   /* typed by the user, not yet written to the pty */
    char output[TERMINAL_OUTPUT_SIZE]; /* written by the command, not yet written to the terminal */
};

#define TERMINAL_NULL                                                                              \
    { .fd = -1, .master = -1, .slave = -1, .events = -1, .monitor = -1, .monitors_end = -1 }
