#pragma once

/*
 * What utsrun and the monitor of a command with a terminal say to each other. Each message is one
 * record, over a socketpair of utsrun's, whose other end goes to the monitor with the request. Both
 * ends are the same user's, without any privilege.
 *
 *    utsrun  -> monitor    MONITOR_FRONT, before the request is sent
 *    monitor -> utsrun     MONITOR_RUNS, with a pidfd of the command
 *    utsrun  -> monitor    MONITOR_FRONT, when utsrun comes to the foreground or leaves it
 *    monitor -> utsrun     MONITOR_STOPPED
 *    utsrun  -> monitor    MONITOR_CONTINUE
 *
 * The monitor ends as the command has ended.
 */

#include <stdint.h>

#define MONITOR_NAME "utsb-monitor" /* of the process, PR_SET_NAME of prctl(2) */

enum monitor_word {
    MONITOR_FRONT,    /* @value: 1: the command has the pty's foreground; 0: the monitor has it */
    MONITOR_CONTINUE, /* the same; then the command continues */
    MONITOR_RUNS,     /* @value: the command's pid */
    MONITOR_STOPPED,  /* @value: the signal */
};

struct monitor_message {
    uint32_t word; /* enum monitor_word */
    int32_t value;
};
