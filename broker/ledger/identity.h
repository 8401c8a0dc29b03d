#pragma once

/* Which process a pidfd means, asked of the kernel and not of the sender. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct identity {
    pid_t pid;
    char start_kind; /* with @start, tells the process from a later one with the same pid: */
    uint64_t start;  /* 'i' and the pidfd's inode (Linux 6.9), or 't' and the start time */
};

enum {
    IDENTITY_E_NOT_PIDFD = 1, /* another kind of descriptor, or a thread's: it must not be closed */
    IDENTITY_E_OTHER_USER,
    IDENTITY_E_ENDED,
    IDENTITY_E_HIDDEN, /* /proc is mounted with hidepid= (proc(5)), and is needed */
};

int identity_init(bool *tells_status);
bool identity_is_readable(void);
int identity_read(struct identity *identity, int pidfd, uid_t uid);
int identity_open(const struct identity *identity, int *pidfdp);
bool identity_read_status(int pidfd, int *wait_statusp);
bool identity_has_ended(int pidfd);
