#pragma once

/* What utsrsh runs: a command line for the user's shell, a login shell, or a subsystem. */

#include "launcher/options.h"
#include "launcher/rsh-options.h"

enum { RSH_COMMAND_E_NO_SUBSYSTEM = 1 };

struct rsh_command {
    char *words[4];
    char *line; /* what the shell gets; allocated, or NULL */
};

int rsh_command_build(struct rsh_command *command, struct options *options,
                      const struct rsh_options *asked);
