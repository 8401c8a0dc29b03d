#pragma once

/*
 * The user's terminal, for a command that runs in another session, as the service's commands do.
 *
 * The command gets the slave of a new pty for each of 0, 1 and 2 that is the user's terminal.
 * utsrun holds the pty's master and relays bytes, modes and window sizes between the two terminals,
 * so that the user does not notice the pty.
 *
 * open.h opens and closes both terminals, mode.h keeps their modes in step, relay.h moves the
 * bytes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

enum {
    TERMINAL_INPUT_SIZE = 4096,
    TERMINAL_OUTPUT_SIZE = 16384,
};

struct terminal {
    int fd;              /* the user's terminal; -1: 0, 1 and 2 are no terminal, nothing to do */
    int master;          /* of the command's pty */
    int slave;           /* for the command; close it as soon as it is sent */
    bool is_standard[3]; /* descriptor N is the user's terminal: the command gets the slave */

    /* For the files of this folder only. */
    bool is_shared;     /* others use @fd's open file description: @fd may block */
    bool is_pipeline;   /* other processes of this process group may use the terminal, too */
    bool is_foreground; /* this process group may read the terminal and set its mode */
    bool is_reading;    /* what the user types is for the command */
    bool is_typed;      /* in a pipeline: the user typed a line that no other process took */
    bool is_raw;        /* the terminal has the relay's mode; @saved must be restored */
    bool is_unreadable; /* @fd is open for writing only */
    bool is_lost;       /* the terminal was hung up */
    bool is_idle;       /* no process has the slave open */
    struct termios saved;
    struct termios mode;  /* the relay's mode of the terminal, while is_raw */
    struct termios given; /* the slave's mode before the command changed it */
    size_t n_input, n_output;
    char input[TERMINAL_INPUT_SIZE];   /* typed by the user, not yet written to the pty */
    char output[TERMINAL_OUTPUT_SIZE]; /* written by the command, not yet written to the terminal */
};

#define TERMINAL_NULL                                                                              \
    { .fd = -1, .master = -1, .slave = -1 }
