#pragma once

/*
 * Reads the launch description (utsbroker/launch.h) and executes the command. Only for a process
 * without any capability.
 */

#include <stddef.h>

#include "utsbroker/launch.h"

/* A parsed launch description. It points into the bytes that it was parsed from. */
struct launch {
    struct launch_header header;
    const int32_t *descriptors; /* header.n_descriptors numbers, in ascending order */
    char **arguments;           /* ends with NULL, for execve(2) */
    char **environment;         /* likewise */
};

#define LAUNCH_NULL                                                                                \
    { .arguments = NULL }

int launch_parse(struct launch *launch, char *bytes, size_t size);
int launch_read(struct launch *launch, int fd);
void launch_deinit(struct launch *launch);
int launch_restore(const struct launch *launch);
int launch_execute(const struct launch *launch);
