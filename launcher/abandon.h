#pragma once

/*
 * A launcher that nobody needs any more: the program that has started it has ended, and nobody can
 * read its standard error. ssh(1) would go on, and leave a command that nobody hears of.
 */

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct abandon {
    int fd; /* to watch: the parent's pidfd, then standard error; -1: nothing */
    bool has_parent_ended;
    int64_t due_ms; /* CLOCK_MONOTONIC: the end of this process; 0: not yet known */
};

#define ABANDON_NULL                                                                               \
    { .fd = -1 }

void abandon_begin(struct abandon *abandon, pid_t parent);
struct pollfd abandon_prepare_poll(const struct abandon *abandon);
int abandon_timeout(const struct abandon *abandon);
bool abandon_check(struct abandon *abandon, short events);
