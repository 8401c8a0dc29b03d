#pragma once

/*
 * The log: a file, and a copy to syslog. The file decides: what cannot be written there is not
 * granted. The copy is never waited for.
 */

#include <time.h>

#include "broker/log-line.h"

#define BOOK_SYSLOG_SOCKET "/dev/log" /* syslog(3), _PATH_LOG */

struct book {
    const char *path;
    int fd;
    int syslog;             /* -1: not connected */
    time_t syslog_tried;    /* when it was last connected to, or failed to */
    unsigned n_not_written; /* lines that the file did not take since the last that it took */
    unsigned n_not_sent;    /* the same of syslog */
};

int book_open(struct book *book, const char *path);
int book_reopen(struct book *book);
int book_write(struct book *book, const struct log_line *line);
void book_copy(struct book *book, const struct log_line *line);
