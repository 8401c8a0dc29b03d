#pragma once

/* Reads the launch description (utsbroker/launch.h). Only for a process without capabilities. */

#include <stddef.h>

#include "utsbroker/launch.h"

/* A launch description taken apart; the strings stay where they were read. */
struct launch {
    struct launch_header header;
    const int32_t *descriptors; /* header.n_descriptors numbers, ascending */
    char **arguments;           /* ends with NULL, as execve(2) wants it */
    char **environment;         /* likewise */
};

#define LAUNCH_NULL                                                                                \
    { .arguments = NULL }

int launch_parse(struct launch *launch, char *bytes, size_t size);
int launch_read(struct launch *launch, int fd);
void launch_deinit(struct launch *launch);
int launch_restore(const struct launch *launch);
int launch_execute(const struct launch *launch);
