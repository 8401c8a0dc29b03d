#pragma once

/*
 * The user's terminal, when the command runs in another session: what of 0, 1 and 2 is a terminal
 * is a pty's slave for the command, and this process relays between the two, so that the user does
 * not notice.
 */

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <termios.h>

enum {
    TERMINAL_POLL_FDS = 2,
    TERMINAL_INPUT_SIZE = 4096,
    TERMINAL_OUTPUT_SIZE = 16384,
};

struct terminal {
    int fd;     /* the user's terminal; -1: none of 0, 1, 2 is one, nothing is to be done */
    int master; /* of the command's pty */
    int slave;  /* for the command; to be closed as soon as it was sent */
    bool is_standard[3]; /* descriptor N is the terminal and gets the slave instead */

    /* The module's own. */
    bool is_shared;     /* @fd shares its open file description with others: it may block */
    bool is_pipeline;   /* others of this process's group use the terminal as well */
    bool is_foreground; /* this process's group may read the terminal and set its mode */
    bool is_reading;    /* what is typed is for the command */
    bool is_typed;      /* in a pipeline: a line was typed that nobody else took */
    bool is_raw;        /* @saved is to be put back */
    bool is_unreadable; /* the descriptor is for writing only */
    bool is_lost;       /* the terminal was hung up */
    bool is_idle;       /* no process has the slave open */
    struct termios saved;
    struct termios mode;  /* that the terminal was given, while it is_raw */
    struct termios given; /* the mode that the slave had before the command changed it */
    size_t n_input, n_output;
    char input[TERMINAL_INPUT_SIZE];   /* typed, not taken by the pty yet */
    char output[TERMINAL_OUTPUT_SIZE]; /* of the command, not taken by the terminal yet */
};

#define TERMINAL_NULL                                                                              \
    { .fd = -1, .master = -1, .slave = -1 }

/* launcher/terminal/open.c */
int terminal_open(struct terminal *terminal);
void terminal_close_slave(struct terminal *terminal);
int terminal_resize(struct terminal *terminal);
int terminal_give_mode(struct terminal *terminal, const struct termios *users);

/* launcher/terminal/terminal.c */
void terminal_update_mode(struct terminal *terminal);
void terminal_restore(struct terminal *terminal);
int terminal_poll_prepare(struct terminal *terminal, struct pollfd fds[TERMINAL_POLL_FDS]);
bool terminal_relay(struct terminal *terminal, const struct pollfd fds[TERMINAL_POLL_FDS],
                    pid_t command);
void terminal_drain(struct terminal *terminal);
void terminal_deinit(struct terminal *terminal);
