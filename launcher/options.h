#pragma once

/* The command line of utsrun. */

#include <stdbool.h>

enum via { VIA_AUTO, VIA_DIRECT, VIA_SERVICE };

/* What is wanted: to run a command, or to know of the policy. */
enum mode { MODE_RUN, MODE_CHECK, MODE_LIST };

struct options {
    const char *hostname;   /* NULL: not asked for */
    const char *domainname; /* likewise */
    enum mode mode;
    enum via via;
    bool is_verbose;
    bool dies_with_parent;
    int status_fd;  /* -1: none */
    char **command; /* ends with NULL; has at least one word */
    char *shell[2]; /* @command, if none was given */
};

enum {
    OPTIONS_E_DONE = 1, /* --help or --version: it is said, nothing is left to do */
    OPTIONS_E_USAGE,    /* what is wrong was said on standard error */
};

int options_parse(struct options *options, int argc, char **argv);
