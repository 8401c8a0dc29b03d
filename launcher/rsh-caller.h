#pragma once

/* Who the caller is, without a user database (NSS), which a static program cannot load. */

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/* What is known about a caller. */
struct rsh_caller {
    uid_t uid;
    const char *user;    /* $USER; NULL: not set */
    const char *logname; /* $LOGNAME */
};

bool rsh_caller_is(const struct rsh_caller *caller, const char *name, FILE *passwd);
