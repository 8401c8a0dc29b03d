#pragma once

/* What differs between utsrun and utsrsh in what both do: the name and the exit statuses. */

#include <stdbool.h>

enum { /* of utsrun: the exit codes of env(1), timeout(1) and docker */
       EXIT_UTSRUN_FAILED = 125,
       EXIT_CANNOT_EXECUTE = 126,
       EXIT_NOT_FOUND = 127,
};

struct program {
    const char *name;
    int status_failed;         /* it failed itself, or was refused */
    int status_cannot_execute; /* the command is there, and cannot be executed */
    int status_not_found;      /* there is no such command */
    bool ends_by_signal;       /* killed by a signal if the command was; else status_failed */
    const char *via_direct;    /* what chooses direct mode */
};

extern struct program program; /* utsrun; main() of another program sets it first of all */
