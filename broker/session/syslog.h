#pragma once

/* The log of a machine that has no ledger: a line for each grant, refusal and failure to syslog. */

#include <stdbool.h>
#include <sys/types.h>

#include "broker/log-line.h"

struct syslog_link {
    int fd;         /* negative: no log daemon */
    bool is_stream; /* SOCK_STREAM, else SOCK_DGRAM */
    pid_t pid;      /* the broker's, for syslog's tag */
};

#define SYSLOG_LINK_NULL                                                                           \
    { .fd = -1 }
#define SYSLOG_SOCKET "/dev/log" /* syslog(3), _PATH_LOG */

int syslog_open(struct syslog_link *syslog, const char *path);
int syslog_write(const struct syslog_link *syslog, const struct log_line *line);
