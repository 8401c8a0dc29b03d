#pragma once

/*
 * A line that the terminal has edited, as the command's pty must get it so that the command reads
 * the same bytes: the pty edits, too (termios(3), n_tty.c of the kernel).
 */

#include <stddef.h>
#include <termios.h>

enum { LINE_MAX_BYTES = 4096 };

struct line {
    size_t n_bytes, n_echo;
    char bytes[2 * LINE_MAX_BYTES + 1]; /* to be written to the pty */
    char echo[4 * LINE_MAX_BYTES + 2];  /* what the pty echoes, which the terminal has done */
};

void line_cook(struct line *line, const struct termios *pty, const char *typed, size_t n);
